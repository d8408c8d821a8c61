"""d. A bias before batch norm, the scale of weights, and the identity."""

from .picture import OTHER, WITH, WITHOUT, Picture, colour_of, label_of, number, panels


def pictures(result):
    """Three panels: gradients of biases, losses of scaled weights, values given back."""
    figure, axes = panels(1, 3, width=10.5, height=3.4)
    biases, scales, values = axes[0]

    for run in result["bias_gradient"]:
        biases.plot(run["steps"], run["ratio"], color=colour_of(run["batch_norm"]), label=label_of(run["batch_norm"]))
    biases.set(
        yscale="log",
        ylim=(1e-9, 1e2),
        xlabel="steps",
        ylabel="largest bias gradient /\nlargest weight gradient",
        title="gradient of a bias",
    )
    biases.legend(loc="center right")

    rows = []
    floor = 1e-9  # a change of 0 has no place on a logarithmic axis
    for run in result["scaled"]:
        name = label_of(run["batch_norm"])
        colour = colour_of(run["batch_norm"])
        if run["batch_norm"]:
            name = f"epsilon {run['epsilon']:g}"
            colour = OTHER if run["epsilon"] == 0 else WITH
        points = [(scale, max(change, floor)) for scale, change in zip(run["scale"], run["change"]) if scale != 1]
        scales.plot(*zip(*points), "o-", color=colour, label=name, markersize=3.5)
        rows.append([f"largest change of the loss, {name}", number(max(run["change"]))])
    scales.set(
        xscale="log",
        yscale="log",
        xlabel="all hidden weights times",
        ylabel="relative change of the loss",
        title="scaled weights",
    )
    scales.set_ylim(floor / 2, 1e8)
    scales.legend(loc="upper right", fontsize=8)

    identity = result["identity"]
    values.plot(identity["raw"], identity["normalised"], ".", color=WITHOUT, markersize=3, label="normalised")
    values.plot(
        identity["raw"], identity["restored"], ".", color=WITH, markersize=3, label="gamma = sigma, beta = mean"
    )
    values.set(xlabel="x", ylabel="y", title="the layer as the identity")
    values.legend(loc="upper left", fontsize=8)

    with_norm = next(run for run in result["bias_gradient"] if run["batch_norm"])
    exact = next(run for run in result["scaled"] if run["batch_norm"] and run["epsilon"] == 0)
    usual = next(run for run in result["scaled"] if run["batch_norm"] and run["epsilon"] > 0)
    up = max(change for scale, change in zip(usual["scale"], usual["change"]) if scale > 1)
    difference = identity["largest_difference"] / identity["largest_value"]
    paragraph = (
        f"Left: batch norm takes the mean off, and a bias with it, so the gradient of a bias before it is zero: at most "
        f"{max(with_norm['ratio']):.0e} of the largest weight's, which is rounding. That is why the layers here have none. Middle: "
        f"all hidden weights times a number. With an epsilon of 0 the loss changes by at most {max(exact['change']):.0e}; with one "
        f"of {usual['epsilon']:g} by at most {up:.0e} for larger weights, and more for weights so small that epsilon is no longer "
        f"small beside the variance. Right: with gamma = sigma and beta = mean the layer gives back the values that it was given, "
        f"to {difference:.0e} of the largest: it can learn to do nothing."
    )
    rows = [
        [f"largest bias gradient / weight gradient, {label_of(run['batch_norm'])}", number(max(run["ratio"]))]
        for run in result["bias_gradient"]
    ] + rows
    rows.append(["largest difference of restored values / largest value", number(difference)])
    return [
        Picture(
            "d_invariances",
            "What makes no difference to batch norm, and how it makes none",
            paragraph,
            ["", "measured"],
            rows,
            figure,
        )
    ]
