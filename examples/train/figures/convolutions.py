"""h. Convolutions in both layouts."""

from .picture import OTHER, WITH, Picture, last, number, panels, percent

NAMES = {"ncx": "ncx (nchw)", "nxc": "nxc (nhwc)"}


def pictures(result):
    """Loss and accuracy over steps of both layouts."""
    if "skipped" in result:
        return []
    figure, axes = panels(1, 2, width=9.5, height=3.4)
    loss, accuracy = axes[0]
    for run, style, colour in zip(result["runs"], ("-", "--"), (WITH, OTHER)):
        history = run["history"]
        name = NAMES[run["layout"]]
        loss.plot(history["steps"], history["loss"], style, color=colour, label=name, linewidth=2)
        accuracy.plot(
            history["steps"],
            [100 * value for value in history["accuracy"]],
            style,
            color=colour,
            label=name,
            linewidth=2,
        )
    loss.set(yscale="log", xlabel="steps", ylabel="training loss", title="loss")
    accuracy.set(xlabel="steps", ylabel="test accuracy, %", ylim=(0, 102), title="accuracy")
    loss.legend(loc="upper right")
    accuracy.legend(loc="lower right")
    final = {run["layout"]: last(run["history"]["accuracy"]) for run in result["runs"]}
    paragraph = (
        f"A network of {result['blocks']} of ResNet's blocks (convolution, batch norm + ReLU, convolution, batch norm + input + "
        f"ReLU) of {result['channels']} channels, on images of {result['side']} x {result['side']}, once with planes of channels and "
        f"once with the channels of a position side by side, from the same weights. Before training their logits differ by at "
        f"most {result['largest_difference_of_first_logits']:.0e}; training makes rounding grow, as it does anything, until the curves "
        f"part within the noise of a mini-batch. In the end: {percent(final['ncx'])} and {percent(final['nxc'])}."
    )
    rows = [
        [
            NAMES[run["layout"]],
            percent(last(run["history"]["accuracy"])),
            number(last(run["history"]["loss"])),
            number(run["times"]["milliseconds_a_step"]),
        ]
        for run in result["runs"]
    ]
    header = ["layout", "accuracy in the end", "loss in the end", "ms a step"]
    return [
        Picture("h_convolutions", "ResNet's blocks learn the same in both layouts", paragraph, header, rows, figure)
    ]
