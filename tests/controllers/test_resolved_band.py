from entrostat.controllers import Annealed, Band, Constant, resolved_band

BOX = {"rate": 0.002, "floor": 6e-4, "ceiling": 9e-3, "initial": 0.002}


def test_a_band_in_nats_is_known_from_the_start():
    law = Band(low=0.15, high=0.24, **BOX)
    assert resolved_band(law, law.init()) == (0.15, 0.24)


def test_a_relative_band_shows_once_measured_also_through_a_wrapper():
    law = Annealed(Band(low="50%", high="75%", warmup=1, **BOX), total=10)
    assert resolved_band(law, law.init()) is None
    assert resolved_band(law, law.update(law.init(), entropy=2.0)) == (1.0, 1.5)


def test_a_law_without_a_band_has_none():
    law = Constant(coef=0.1)
    assert resolved_band(law, law.init()) is None
