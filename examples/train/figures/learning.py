"""a. Learning rates and depths, and optimizers."""

import math

from .picture import Picture, colour_of, label_of, last, number, panels, percent, shared_legend


def select(runs, **wanted):
    """The runs that have these values."""
    return [run for run in runs if all(run[key] == value for key, value in wanted.items())]


def values(runs, key):
    """The different values of a key, in order."""
    return sorted({run[key] for run in runs})


def final(run):
    """The accuracy in the end; of a run that diverged, None."""
    return None if run["diverged"] else last(run["history"]["accuracy"])


def mean_final(runs):
    """Mean, least and largest final accuracy of repetitions; diverged ones count as nothing learnt."""
    accuracies = [final(run) or 0.0 for run in runs]
    return sum(accuracies) / len(accuracies), min(accuracies), max(accuracies)


def curves(result, key, limits):
    """Small multiples: a row for each depth, a column for each of three rates."""
    runs = select(result["runs"], activation="sigmoid", repetition=0)
    depths = values(runs, "depth")
    rates = [rate for rate in values(runs, "rate") if rate in (0.1, 1.0, 10.0)]
    figure, axes = panels(len(depths), len(rates), width=9.5, sharex=True, sharey=True)
    for row, depth in enumerate(depths):
        for column, rate in enumerate(rates):
            axis = axes[row][column]
            for run in select(runs, depth=depth, rate=rate):
                history = run["history"]
                scale = 100 if key == "accuracy" else 1
                axis.plot(
                    history["steps"],
                    [None if value is None else scale * value for value in history[key]],
                    color=colour_of(run["batch_norm"]),
                    label=label_of(run["batch_norm"]),
                )
            axis.set_title(f"{depth} hidden layers, learning rate {rate:g}")
            axis.set_ylim(*limits)
            if key == "loss":
                axis.set_yscale("log")
            if column == 0:
                axis.set_ylabel("test accuracy, %" if key == "accuracy" else "training loss")
            if row + 1 == len(depths):
                axis.set_xlabel("steps")
    shared_legend(figure, axes[0][0])
    return figure


def accuracy_picture(result):
    """Test accuracy of sigmoid networks over steps."""
    runs = select(result["runs"], activation="sigmoid", repetition=0)
    deepest = max(values(runs, "depth"))
    best = {
        batch_norm: max(final(run) or 0.0 for run in select(runs, depth=deepest, batch_norm=batch_norm))
        for batch_norm in (False, True)
    }
    rows = [
        [
            run["depth"],
            f"{run['rate']:g}",
            label_of(run["batch_norm"]),
            percent(final(run)),
            number(last(run["history"]["loss"])),
        ]
        for run in runs
    ]
    return Picture(
        "a_accuracy",
        "Test accuracy of sigmoid networks, with and without batch norm",
        f"Fully connected networks of {result['width']} sigmoid units a layer, trained by gradient descent on mini-batches "
        f"of {result['batch']}. With {deepest} hidden layers the gradient that reaches the first ones is too small to "
        f"learn from, at any of the learning rates: the best accuracy without batch norm is {percent(best[False])}, where "
        f"guessing gives about {100 / result['classes']:.0f} %. With batch norm in every layer the same network, from the same first weights, "
        f"reaches {percent(best[True])}.",
        ["hidden layers", "learning rate", "", "accuracy in the end", "loss in the end"],
        rows,
        curves(result, "accuracy", (0, 102)),
    )


def loss_picture(result):
    """Training loss of sigmoid networks over steps."""
    return Picture(
        "a_loss",
        "Training loss of the same networks",
        f"The loss of the same runs, on a logarithmic axis; {math.log(result['classes']):.1f} is what guessing costs. The shallow network learns "
        "either way, and with batch norm sooner. A learning rate that is too high for it shows as a curve that jumps. The "
        "numbers are in the table above.",
        [],
        [],
        curves(result, "loss", (1e-3, 10)),
    )


def rates_picture(result):
    """Final accuracy over learning rates."""
    runs = result["runs"]
    depths = values(runs, "depth")
    activations = ["sigmoid", "relu"]
    figure, axes = panels(len(activations), len(depths), width=9.5, sharex=True, sharey=True)
    rows, usable = [], {}
    for row, activation in enumerate(activations):
        for column, depth in enumerate(depths):
            axis = axes[row][column]
            for batch_norm in (False, True):
                chosen = select(runs, activation=activation, depth=depth, batch_norm=batch_norm)
                rates = values(chosen, "rate")
                points = [mean_final(select(chosen, rate=rate)) for rate in rates]
                means, lows, highs = ([100 * point[i] for point in points] for i in range(3))
                axis.plot(rates, means, "o-", color=colour_of(batch_norm), label=label_of(batch_norm), markersize=3.5)
                axis.fill_between(rates, lows, highs, color=colour_of(batch_norm), alpha=0.2, linewidth=0)
                good = [rate for rate, mean in zip(rates, means) if mean >= 90]
                usable[batch_norm] = usable.get(batch_norm, 0) + len(good)
                rows.append([activation, depth, label_of(batch_norm)] + [f"{mean:.1f}" for mean in means])
            axis.set_xscale("log")
            axis.set_ylim(0, 102)
            axis.set_title(f"{activation}, {depth} hidden layers")
            if column == 0:
                axis.set_ylabel("final accuracy, %")
            if row + 1 == len(activations):
                axis.set_xlabel("learning rate")
    shared_legend(figure, axes[0][0])
    combinations = len(rates) * len(depths) * len(activations)
    repetitions = len(values(runs, "repetition"))
    return Picture(
        "a_rates",
        "Which learning rates work",
        f"Final test accuracy over the learning rate, after {result['steps']} steps"
        + (f" (mean of {repetitions} runs; the band goes from the worst to the best)" if repetitions > 1 else "")
        + f". Of the {combinations} combinations of activation, depth and rate, {usable[True]} reach 90 % with batch norm "
        f"and {usable[False]} without. What batch norm gives is room: rates that make a plain network diverge, counted "
        f"here as 0 %, still train. At the smallest rates a ReLU network with a good start does as well without.",
        ["activation", "hidden layers", ""] + [f"rate {rate:g}" for rate in rates],
        rows,
        figure,
    )


def optimizers_picture(result):
    """The four optimizers on the deepest sigmoid network."""
    runs = result["optimizers"]
    names = list(dict.fromkeys(run["optimizer"] for run in runs))
    figure, axes = panels(1, len(names), width=10.5, height=2.9, sharex=True, sharey=True)
    rows = []
    for axis, name in zip(axes[0], names):
        for run in select(runs, optimizer=name):
            history = run["history"]
            axis.plot(
                history["steps"],
                [100 * value for value in history["accuracy"]],
                color=colour_of(run["batch_norm"]),
                label=label_of(run["batch_norm"]),
            )
            rows.append([name.replace("_", " "), f"{run['rate']:g}", label_of(run["batch_norm"]), percent(final(run))])
        axis.set_title(name.replace("_", " ").replace("rmsprop", "RMSprop").replace("adam", "Adam"))
        axis.set_xlabel("steps")
        axis.set_ylim(0, 102)
    axes[0][0].set_ylabel("test accuracy, %")
    shared_legend(figure, axes[0][0])
    best = {
        batch_norm: max(final(run) or 0 for run in select(runs, batch_norm=batch_norm)) for batch_norm in (False, True)
    }
    worst = min(final(run) or 0 for run in select(runs, batch_norm=True))
    return Picture(
        "a_optimizers",
        f"The four optimizers on {runs[0]['depth']} sigmoid layers",
        f"Gradient descent, momentum, RMSprop and Adam, applied to the weights, gamma and beta alike. RMSprop and Adam "
        f"divide a gradient by its size, which helps where it is merely small; even so the best of the four reaches "
        f"{percent(best[False])} without batch norm. With it the least of the four reaches {percent(worst)}.",
        ["optimizer", "learning rate", "", "accuracy in the end"],
        rows,
        figure,
    )


def pictures(result):
    """All figures of the experiment."""
    return [accuracy_picture(result), loss_picture(result), rates_picture(result), optimizers_picture(result)]
