#!/usr/bin/env python3
"""Draws what `./run compare --json` and `./run slabs` have measured, as PNG and SVG."""

import argparse
import json
import math
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update(
    {
        "figure.dpi": 110,
        "font.size": 9,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "svg.hashsalt": "xbn",
        "svg.fonttype": "none",
    }
)

import matplotlib.pyplot as plt  # noqa: E402  (the backend must be chosen first)

LAYOUTS = {"abx": "nchw", "axb": "nhwc", "aBx8b": "nChw8c", "aBx16b": "nChw16c"}
DIRECTIONS = {"FWD_D": "forward training", "FWD_I": "forward inference", "BWD_D": "backward, dx", "BWD_DW": "backward"}
XBN, ONEDNN, LIMIT = "#1b6ca8", "#d1590e", "#777777"
COLOURS = {"FWD_D": "#1b6ca8", "FWD_I": "#3f8f4f", "BWD_D": "#777777", "BWD_DW": "#d1590e"}


def read(path):
    """The rows of a report that have a measurement; ends the program where there are none."""
    try:
        rows = [row for row in json.loads(path.read_text(encoding="utf-8")) if row.get("xbn_us") or row.get("ratio")]
    except (OSError, ValueError) as error:
        sys.exit(f"draw.py: {path}: must be what --json of a comparison writes; {error}")
    if not rows:
        sys.exit(f"draw.py: {path}: must hold measured rows; has none")
    return rows


def parts(problem):
    """mb50ic64ih112iw112 as {"mb": 50, "ic": 64, "ih": 112, "iw": 112}."""
    return {name: int(value) for name, value in re.findall(r"([a-z]+)(\d+)", problem)}


def bytes_of_x(row):
    """Of the tensor x, in f32."""
    return 4 * math.prod(parts(row["problem"]).values())


def those_of(known, rows, key):
    """The known values of a key that the rows have, in the known order."""
    return [value for value in known if any(row[key] == value for row in rows)]


def machine(rows):
    """Which runs these are."""
    return f"{rows[0]['dt']}, {rows[0]['threads']} threads, {rows[0]['isa']}"


def with_bytes(value, _=None):
    """12544 as 12 KB."""
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.0f} GB"


def draw_sizes(rows):
    """The time of the memory limit by each one's time, over the bytes of x: a panel a direction and layout."""
    layouts, directions = those_of(LAYOUTS, rows, "tag"), those_of(DIRECTIONS, rows, "dir")
    figure, panels = plt.subplots(
        len(directions), len(layouts), figsize=(3.3 * len(layouts), 2.5 * len(directions)), sharex=True, squeeze=False
    )
    for panels_of_direction, direction in zip(panels, directions):
        for panel, layout in zip(panels_of_direction, layouts):
            of_panel = sorted((row for row in rows if (row["tag"], row["dir"]) == (layout, direction)), key=bytes_of_x)
            sizes = [bytes_of_x(row) for row in of_panel]
            panel.axhline(1, color=LIMIT, linestyle="--", linewidth=1, label="memory limit")
            for name, key, colour in (("xbn", "xbn_us", XBN), ("oneDNN", "onednn_us", ONEDNN)):
                panel.plot(sizes, [row["limit_us"] / row[key] for row in of_panel], "o-", color=colour, label=name)
            panel.set_xscale("log", base=2)
            panel.xaxis.set_major_locator(matplotlib.ticker.LogLocator(base=16))
            panel.xaxis.set_major_formatter(with_bytes)
            panel.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
            panel.set_ylim(bottom=0)
            panel.set_title(f"{LAYOUTS[layout]}, {DIRECTIONS[direction]}")
    for panel in panels[-1]:
        panel.set_xlabel("bytes of x")
    for panels_of_direction in panels:
        panels_of_direction[0].set_ylabel("limit's time / time")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"Memory limit by size ({machine(rows)})")
    return figure


def draw_layers(rows):
    """oneDNN's time by xbn's, a bar a direction for every layer: a panel a layout."""
    layouts, directions = those_of(LAYOUTS, rows, "tag"), those_of(DIRECTIONS, rows, "dir")
    layers = list(dict.fromkeys(row["problem"] for row in rows))
    figure, panels = plt.subplots(
        1, len(layouts), figsize=(3.6 * len(layouts), 1.2 + 0.42 * len(layers)), sharey=True, squeeze=False
    )
    thickness = 0.8 / len(directions)
    for panel, layout in zip(panels[0], layouts):
        for index, direction in enumerate(directions):
            ratios = {row["problem"]: row["ratio"] for row in rows if (row["tag"], row["dir"]) == (layout, direction)}
            places = [layer + (index - (len(directions) - 1) / 2) * thickness for layer in range(len(layers))]
            panel.barh(
                places,
                [ratios.get(layer, math.nan) for layer in layers],
                thickness,
                color=COLOURS[direction],
                label=DIRECTIONS[direction],
            )
        panel.axvline(1, color="black", linewidth=1)
        panel.set_title(LAYOUTS[layout])
        panel.set_xlabel("oneDNN's time / xbn's")
    names = [parts(layer) for layer in layers]
    panels[0][0].set_yticks(range(len(layers)), [f"{name['ic']} x {name['ih']} x {name['iw']}" for name in names])
    panels[0][0].invert_yaxis()
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(f"ResNet-50's layers, batch of {names[0]['mb']} ({machine(rows)})")
    return figure


def draw_slabs(rows):
    """Time by that with the detected caches, over the cache that the plan is told of: a panel a cache and layout."""
    caches, layouts = those_of(("private", "shared"), rows, "cache"), those_of(LAYOUTS, rows, "tag")
    directions, problems = those_of(DIRECTIONS, rows, "dir"), list(dict.fromkeys(row["problem"] for row in rows))
    figure, panels = plt.subplots(
        len(caches), len(layouts), figsize=(4.2 * len(layouts), 2.8 * len(caches)), sharey=True, squeeze=False
    )
    for panels_of_cache, cache in zip(panels, caches):
        for panel, layout in zip(panels_of_cache, layouts):
            panel.axvline(rows[0][f"detected_{cache}_bytes"], color=LIMIT, linestyle="--", linewidth=1)
            for direction in directions:
                for problem, line in zip(problems, ("o-", "s--", "^:", "v-.") * len(problems)):
                    of_line = [
                        row
                        for row in rows
                        if (row["cache"], row["tag"], row["dir"], row["problem"]) == (cache, layout, direction, problem)
                    ]
                    size = parts(problem)
                    panel.plot(
                        [row["bytes"] for row in of_line],
                        [row["ratio"] for row in of_line],
                        line,
                        color=COLOURS[direction],
                        markersize=3,
                        label=f"{DIRECTIONS[direction]}, {size['ic']} x {size['ih']} x {size['iw']}",
                    )
            panel.set_xscale("log", base=2)
            panel.xaxis.set_major_locator(matplotlib.ticker.LogLocator(base=4))
            panel.xaxis.set_major_formatter(with_bytes)
            panel.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
            panel.set_title(f"{LAYOUTS[layout]}, {cache} cache")
            panel.set_xlabel(f"{cache} cache that the plan is told of")
        panels_of_cache[0].set_ylabel("time / time with the detected caches")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7)
    figure.suptitle(f"Slabs by the caches they are chosen for; dashed: detected ({rows[0]['threads']} threads)")
    return figure


FIGURES = {"sizes": draw_sizes, "resnet_50": draw_layers, "slabs": draw_slabs}


def main():
    """Draws, and says what."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds NAME.json; the figures go there")
    parser.add_argument("name", nargs="+", choices=sorted(FIGURES), help="which figures")
    arguments = parser.parse_args()
    folder = arguments.folder
    for name in arguments.name:
        figure = FIGURES[name](read(folder / f"{name}.json"))
        figure.set_layout_engine("constrained")
        for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            path = folder / f"{name}.{ending}"
            figure.savefig(path, metadata=metadata)
            print(path)


if __name__ == "__main__":
    main()
