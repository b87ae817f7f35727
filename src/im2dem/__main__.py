"""`python -m im2dem`: the command, for launchers that start modules."""

from im2dem.cli import main

if __name__ == "__main__":
    main()
