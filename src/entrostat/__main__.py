"""`python -m entrostat` is `entrostat`."""

from entrostat.cli import main

if __name__ == "__main__":
    main()
