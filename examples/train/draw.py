#!/usr/bin/env python3
"""Draws the figures of a folder's results.json into it, as PNG and SVG, and the page index.html that shows them."""

import argparse
import json
import os
import sys
from pathlib import Path

from figures import batch_size, convolutions, deployment, epsilon, inputs, invariances, learning, page, shift

EXPERIMENTS = {
    "a": learning,
    "b": inputs,
    "c": shift,
    "d": invariances,
    "e": batch_size,
    "f": epsilon,
    "g": deployment,
    "h": convolutions,
}


def save(picture, folder):
    """Writes both files of a figure, without a date, so that equal results make equal files."""
    picture.figure.suptitle(picture.title)
    picture.figure.savefig(folder / f"{picture.name}.png", metadata={"Software": None})
    picture.figure.savefig(folder / f"{picture.name}.svg", metadata={"Date": None})


def main():
    """Draws, and says where the page is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds results.json")
    folder = parser.parse_args().folder
    try:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"draw.py: {folder / 'results.json'}: must be the results of a run; {error}")
    pictures = {name: EXPERIMENTS[name].pictures(result) for name, result in results["experiments"].items()}
    for figures in pictures.values():
        for picture in figures:
            save(picture, folder)
    unfinished = folder / "index.html.new"
    unfinished.write_text(page.page(results, pictures), encoding="utf-8")
    os.replace(unfinished, folder / "index.html")
    print(folder / "index.html")


if __name__ == "__main__":
    main()
