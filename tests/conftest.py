"""What all tests share."""

from hypothesis import settings

# A machine that runs several things at once is slow now and then: no example fails for its time.
settings.register_profile("entrostat", deadline=None)
settings.load_profile("entrostat")
