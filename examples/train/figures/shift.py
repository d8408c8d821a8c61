"""c. Covariate shift, inside the network and at its inputs."""

from .picture import OTHER, WITH, WITHOUT, Picture, colour_of, label_of, number, panels, percent


def trace_picture(result):
    """What a hidden unit is given while the network learns."""
    figure, axes = panels(1, 2, width=9.5, height=3.2, sharex=True, sharey=True)
    traces = result["traces"]
    for axis, trace in zip(axes[0], traces):
        colour = colour_of(trace["batch_norm"])
        axis.plot(trace["steps"], trace["median"], color=colour, label="median")
        axis.fill_between(
            trace["steps"],
            trace["low"],
            trace["high"],
            color=colour,
            alpha=0.25,
            label="15th to 85th percentile",
            linewidth=0,
        )
        axis.set(title=label_of(trace["batch_norm"]), xlabel="steps")
        axis.legend(loc="upper center", ncols=2)
    top = max(max(trace["high"]) for trace in traces)
    bottom = min(min(trace["low"]) for trace in traces)
    axes[0][0].set_ylim(bottom - 0.1 * (top - bottom), top + 0.25 * (top - bottom))
    axes[0][0].set_ylabel("input of the unit's sigmoid")
    without, with_norm = traces
    rows = [[label_of(t["batch_norm"]), f"{100 * t['drift']:.1f} %", percent(t["accuracy"])] for t in traces]
    return Picture(
        "c_hidden_unit",
        "What a hidden unit is given, over training",
        f"Unit 0 of the last of {result['depth']} sigmoid layers, on the same samples throughout. Without batch norm the "
        f"distribution wanders and widens while the layers before it learn, and the unit has to follow. With batch norm its "
        f"place and width are beta and gamma, which move as slowly as any other parameter. From one look to the next the "
        f"median moves by {100 * without['drift']:.1f} % of the distribution's half width without batch norm, and by "
        f"{100 * with_norm['drift']:.1f} % with it (mean of all {result['width']} units).",
        ["", "movement of the median between looks", "accuracy in the end"],
        rows,
        figure,
    )


def changed_inputs_picture(result):
    """Accuracy on inputs that change after training."""
    changed = result["changed_inputs"]
    series = [
        ("without", "without batch norm", WITHOUT),
        ("running", "batch norm, statistics of training", WITH),
        ("re_estimated", "batch norm, statistics re-estimated", OTHER),
    ]
    figure, axes = panels(1, 1, width=6.5, height=3.7)
    axis = axes[0][0]
    means = {}
    for key, label, colour in series:
        by_strength = [[100 * value for value in values] for values in zip(*changed[key])]
        means[key] = [sum(values) / len(values) for values in by_strength]
        axis.plot(changed["strength"], means[key], "o-", color=colour, label=label, markersize=3.5)
        lows, highs = [min(values) for values in by_strength], [max(values) for values in by_strength]
        axis.fill_between(changed["strength"], lows, highs, color=colour, alpha=0.15, linewidth=0)
    axis.set(xlabel="strength of the change", ylabel="test accuracy, %", ylim=(0, 102))
    axis.legend(loc="lower left")
    rows = [
        [number(strength)] + [f"{means[key][i]:.1f} %" for key, _, _ in series]
        for i, strength in enumerate(changed["strength"])
    ]
    middle = len(changed["strength"]) // 2
    return Picture(
        "c_changed_inputs",
        "Inputs that change after training, and statistics that are taken anew",
        f"Test images get paler (by up to 70 %), brighter and noisier than those that the network was trained with. At a "
        f"strength of {changed['strength'][middle]:g} accuracy is {means['without'][middle]:.1f} % without batch norm and "
        f"{means['running'][middle]:.1f} % with it (means of {len(changed['running'])} networks; the bands go from the worst to "
        f"the best). Taking the statistics anew from the changed images, for which no label is needed, brings it back to "
        f"{means['re_estimated'][middle]:.1f} %: means and deviations take the change of contrast and brightness back; what "
        f"the noise has covered stays lost.",
        ["strength"] + [label for _, label, _ in series],
        rows,
        figure,
    )


def pictures(result):
    """All figures of the experiment."""
    return [trace_picture(result), changed_inputs_picture(result)]
