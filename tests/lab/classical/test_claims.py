"""Every classical claim, in its quick mode: the verdict follows from the figures, and the plots can be drawn."""

import math

import pytest

from entrostat.lab import get, names, run_claim

CLAIMS = [name for name in names() if name.startswith("classical_")]
NEEDS_AN_EXTRA = {"classical_sparse_actor_critic": "gymnasium"}


@pytest.mark.parametrize("name", CLAIMS)
def test_it_holds(name):
    if name in NEEDS_AN_EXTRA:
        pytest.importorskip(NEEDS_AN_EXTRA[name])
    claim = get(name)
    outcome = run_claim(claim, quick=True).outcome
    expected = "not tested" if name == "classical_not_available" else "holds"
    assert outcome.verdict == expected, dict(outcome.figures)
    assert claim.name == name
    assert claim.topic == "classical"
    for plot in outcome.plots:
        for series in plot.series:
            assert len(series.x) == len(series.y) > 0
            assert all(math.isfinite(v) for v in (*series.x, *series.y))


def test_a_claim_is_about_every_method_that_was_found():
    numbers = {int(get(name).source[1:3]) for name in CLAIMS if name != "classical_not_available"}
    assert numbers == {51, 52, 53, 54, 55, 56, 57, 58, 61, 68, 69, 71}
