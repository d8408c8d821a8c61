"""What one figure of the page consists of, and how all figures look."""

from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update(
    {
        "figure.dpi": 110,
        "font.size": 9,
        "axes.titlesize": 9.5,
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

WITH = "#1b6ca8"
WITHOUT = "#d1590e"
OTHER = "#3f8f4f"
NEUTRAL = "#777777"


@dataclass
class Picture:
    """A figure with its paragraph and its table."""

    name: str  # of its files
    title: str
    paragraph: str
    header: list
    rows: list
    figure: object


def panels(rows, columns, width=None, height=None, **options):
    """A figure of rows x columns axes, an array of them."""
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(width or min(10.5, 3.6 * columns), height or 2.7 * rows),
        squeeze=False,
        layout="constrained",
        **options,
    )
    return figure, axes


def percent(value):
    """An accuracy in words."""
    return "-" if value is None else f"{100 * value:.1f} %"


def last(values):
    """The last of a list, None where there is none."""
    return values[-1] if values else None


def number(value):
    """A number as one would say it."""
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def label_of(batch_norm):
    """What a curve is called."""
    return "with batch norm" if batch_norm else "without batch norm"


def colour_of(batch_norm):
    """The colour of a curve."""
    return WITH if batch_norm else WITHOUT


def shared_legend(figure, axis):
    """One legend for all axes, below them."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
