"""e. Batch size."""

from .picture import NEUTRAL, OTHER, WITH, Picture, number, panels, percent


def pictures(result):
    """Three panels: noise of statistics, accuracy over batch sizes, running averages early in training."""
    figure, axes = panels(1, 3, width=10.5, height=3.4)
    noise, accuracy, early = axes[0]

    sizes = [point["batch"] for point in result["noise"]]
    noise.plot(
        sizes,
        [point["mean"] for point in result["noise"]],
        "o-",
        color=WITH,
        label="mean, in deviations",
        markersize=3.5,
    )
    noise.plot(
        sizes,
        [point["variance"] for point in result["noise"]],
        "s-",
        color=OTHER,
        label="variance, relative",
        markersize=3.5,
    )
    noise.plot(sizes, [size**-0.5 for size in sizes], "--", color=NEUTRAL, label="1 / sqrt(batch)")
    noise.set(
        xscale="log",
        yscale="log",
        xlabel="batch",
        ylabel="root mean square of the error",
        title="a batch against the whole set",
    )
    noise.legend(loc="lower left")

    runs = result["runs"]
    sizes = [run["batch"] for run in runs]
    accuracy.plot(sizes, [100 * run["running"][-1] for run in runs], "o-", color=WITH, label="running averages")
    accuracy.plot(
        sizes, [100 * run["exact"][-1] for run in runs], "s--", color=OTHER, label="exact statistics", markersize=4
    )
    accuracy.set(
        xscale="log", ylim=(0, 102), xlabel="batch", ylabel="test accuracy, %", title=f"after {result['steps']} steps"
    )
    accuracy.legend(loc="lower right")

    largest = runs[-1]
    early.plot(largest["steps"], largest["lag"], color=WITH, label=f"batch {largest['batch']}")
    small = next((run for run in runs if run["batch"] == 8), runs[0])
    early.plot(small["steps"], small["lag"], color=OTHER, label=f"batch {small['batch']}")
    early.set(
        xscale="log",
        yscale="log",
        xlabel="steps",
        ylabel="error of running averages, in deviations",
        title="running averages against exact ones",
    )
    early.legend(loc="lower left")

    one = next((run for run in runs if run["batch"] == 1), None)
    last = runs[-1]
    paragraph = (
        f"Left: the mean and the variance of a batch are those of the whole set plus noise that falls as one over the root "
        f"of the batch. Middle: after the same number of steps. "
        + (
            f"With a batch of one, every value is its own mean: all samples look alike, nothing is learnt "
            f"({percent(one['exact'][-1])}). "
            if one
            else ""
        )
        + f"From there on a larger batch gives a steadier estimate, up to {percent(max(run['running'][-1] for run in runs))}. Right: "
        f"how far the running averages, of means, are from the exact statistics of the training set. They begin "
        f"at 0 and 1 and lag behind weights that move, {number(last['lag'][0])} deviations at first and "
        f"{number(last['lag'][-1])} in the end with a batch of {last['batch']}; small batches leave noise that does not go away."
    )
    rows = [
        [
            run["batch"],
            percent(run["running"][-1]),
            percent(run["exact"][-1]),
            number(run["lag"][0]),
            number(run["lag"][-1]),
        ]
        for run in runs
    ]
    header = [
        "batch",
        "accuracy, running averages",
        "accuracy, exact statistics",
        "first error of running averages",
        "last",
    ]
    return [
        Picture(
            "e_batch_size",
            "Batch size: noise of the statistics, accuracy, lag of the running averages",
            paragraph,
            header,
            rows,
            figure,
        )
    ]
