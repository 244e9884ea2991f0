"""python -m compare: the same program as `compare`."""

from compare.cli import main

if __name__ == "__main__":
    main()
