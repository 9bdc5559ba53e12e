"""``python -m tfwav2vec2``: the command line without an installed script."""

from tfwav2vec2.cli.main import main

if __name__ == "__main__":
    main()
