"""``python -m stepwire``: the command line."""

from stepwire.cli import main

if __name__ == "__main__":
    main()
