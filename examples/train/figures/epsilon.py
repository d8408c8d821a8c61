"""f. The two conventions for epsilon."""

from .picture import OTHER, WITH, WITHOUT, Picture, number, panels, percent

COLOURS = {"inside": WITH, "outside": WITHOUT}
FORMULAS = {"inside": "1 / sqrt(variance + epsilon)", "outside": "1 / (sigma + epsilon)"}


def pictures(result):
    """Three panels: gain over sigma, accuracy over epsilon, difference after deployment with the other one."""
    figure, axes = panels(1, 3, width=10.5, height=3.6)
    gain, accuracy, difference = axes[0]

    for curve in result["gains"]:
        gain.plot(
            curve["sigma"],
            curve["gain"],
            "-" if curve["epsilon"] < 1e-4 else "--",
            color=COLOURS[curve["placement"]],
            label=f"{curve['placement']}, epsilon {curve['epsilon']:g}",
        )
    gain.set(xscale="log", yscale="log", xlabel="sigma of the channel", ylabel="y / x", title="gain of a channel")
    gain.legend(loc="lower left", fontsize=8)

    for placement, colour in COLOURS.items():
        runs = [run for run in result["runs"] if run["placement"] == placement]
        epsilons = [run["epsilon"] for run in runs]
        other = "outside" if placement == "inside" else "inside"
        accuracy.plot(
            epsilons, [100 * run["accuracy"] for run in runs], "o-", color=colour, label=placement, markersize=3.5
        )
        accuracy.plot(
            epsilons,
            [100 * run["accuracy_with_other"] for run in runs],
            "x:",
            color=colour,
            label=f"{placement}, deployed {other}",
        )
        floor = 1e-8
        difference.plot(
            epsilons,
            [max(run["difference"], floor) for run in runs],
            "o-",
            color=colour,
            label=f"{placement}, deployed {other}",
            markersize=3.5,
        )
        difference.plot(
            epsilons,
            [max(run["difference_translated"], floor) for run in runs],
            "--",
            color=OTHER,
            label="gamma translated" if placement == "inside" else None,
        )
    accuracy.set(
        xscale="log",
        ylim=(0, 102),
        xlabel="epsilon",
        ylabel="test accuracy, %",
        title="trained with one, deployed with either",
    )
    accuracy.legend(loc="lower left", fontsize=8)
    difference.set(
        xscale="log",
        yscale="log",
        xlabel="epsilon",
        ylabel="difference of logits, relative",
        title="deployed with the other",
    )
    difference.set_ylim(1e-9, 1e4)
    difference.legend(loc="upper left", fontsize=8)

    usual = next(run for run in result["runs"] if run["epsilon"] == 1e-5 and run["placement"] == "inside")
    translated = max(run["difference_translated"] for run in result["runs"])
    quiet = {curve["placement"]: curve["gain"][0] for curve in result["gains"] if curve["epsilon"] == 1e-5}
    paragraph = (
        f"Epsilon keeps a channel that does not vary from being divided by zero: inside the root, {FORMULAS['inside']} (oneDNN, "
        f"PyTorch, ONNX), or outside, {FORMULAS['outside']}. Left: with an epsilon of 1e-5 a channel of sigma 1e-6 is multiplied by "
        f"{quiet['inside']:,.0f} with the first and {quiet['outside']:,.0f} with the second. Middle and right: where channels vary "
        f"by about 1, a network that was trained with one and is deployed with the other at 1e-5 changes its logits by "
        f"{usual['difference']:.0e} and {percent(usual['predictions_changed'])} of its predictions; at 1e-1 and above it matters. "
        f"Multiplying gamma by the ratio of the two divisors takes it back: {translated:.0e} at most, whatever the epsilon."
    )
    rows = [
        [
            run["placement"],
            f"{run['epsilon']:g}",
            percent(run["accuracy"]),
            percent(run["accuracy_with_other"]),
            percent(run["predictions_changed"]),
            number(run["difference"]),
            number(run["difference_translated"]),
        ]
        for run in result["runs"]
    ]
    header = [
        "trained with",
        "epsilon",
        "accuracy",
        "accuracy with the other",
        "predictions changed",
        "difference of logits",
        "with gamma translated",
    ]
    return [Picture("f_epsilon", "Epsilon inside the root, or outside of it", paragraph, header, rows, figure)]
