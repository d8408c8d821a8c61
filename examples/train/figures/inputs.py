"""b. Raw inputs, normalised inputs, batch norm in every layer."""

from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter

from .picture import NEUTRAL, OTHER, WITH, Picture, number, panels, percent

NAMES = {
    "raw": ("raw inputs", NEUTRAL),
    "normalised": ("normalised inputs", OTHER),
    "batch_norm": ("raw inputs, batch norm in every layer", WITH),
}


def pictures(result):
    """Accuracy at each one's best rate, and steps to the goal over rates."""
    figure, axes = panels(1, 2, width=9.5, height=3.5)
    curves, speed = axes[0]
    rates = sorted({run["rate"] for run in result["runs"]})
    rows = []
    for variant, (name, colour) in NAMES.items():
        best = result["best"][variant]
        runs = [run for run in result["runs"] if run["variant"] == variant]
        history = next(run for run in runs if run["rate"] == best["rate"])["history"]
        curves.plot(
            history["steps"],
            [100 * value for value in history["accuracy"]],
            color=colour,
            label=f"{name} (rate {best['rate']:g})",
        )
        reached = [run for run in runs if run["steps_to_goal"] is not None]
        speed.plot(
            [run["rate"] for run in reached], [run["steps_to_goal"] for run in reached], "o-", color=colour, label=name
        )
        by_rate = {run["rate"]: number(run["steps_to_goal"]) for run in runs}
        rows.append([name] + [by_rate[rate] for rate in rates])
    goal = f"{100 * result['goal']:.0f} %"
    curves.set(xlabel="steps", ylabel="test accuracy, %", ylim=(0, 102), title="each at its fastest learning rate")
    curves.set_xlim(0, min(200, result["steps"]))
    curves.legend(loc="lower right")
    speed.set(
        xlabel="learning rate",
        ylabel=f"steps to {goal}",
        xscale="log",
        yscale="log",
        xlim=(rates[0] / 1.5, rates[-1] * 1.5),
        title=f"steps to {goal} (no point: never reached)",
    )
    speed.yaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100, 200, 500]))
    speed.yaxis.set_major_formatter(ScalarFormatter())
    speed.yaxis.set_minor_formatter(NullFormatter())
    best = result["best"]

    def speed_of(variant):
        steps = best[variant]["steps_to_goal"]
        reached = f"after {steps:.0f} steps" if steps is not None else f"not within {result['steps']} steps"
        return f"{reached} at a rate of {best[variant]['rate']:g} ({NAMES[variant][0]})"

    paragraph = (
        f"A ReLU network of {result['depth']} hidden layers on values as the file has them, on values with the mean of each "
        f"taken off, divided by its deviation (with a floor, for pixels that hardly vary), and with batch norm in every layer, again on raw values. At its best "
        f"learning rate each reaches {goal}, on the mean of {result['repetitions']} runs, "
        + ", ".join(speed_of(variant) for variant in NAMES)
        + ". Batch norm does for "
        "every layer what normalising does for the first, so that inputs need no preparation, and more rates work."
    )
    header = [f"steps to {goal}"] + [f"rate {rate:g}" for rate in rates]
    return [
        Picture(
            "b_inputs",
            "How fast a network learns from raw inputs, normalised ones, and with batch norm",
            paragraph,
            header,
            rows,
            figure,
        )
    ]
