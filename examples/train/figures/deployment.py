"""g. Forms of deployment."""

from .picture import OTHER, WITH, Picture, number, panels, percent

EXPLANATIONS = {
    "bf16": "In bf16, weights and all values between layers have half the bytes; batch norm and ReLU read and write them in "
    "one call.",
    "int8": "In int8, weights are s8, values u8 and sums exact; batch norm, ReLU and the way back to 8 bits are one call. The "
    "products of both are oneDNN's, those of f32 OpenBLAS's.",
}


def pictures(result):
    """Accuracy and times of each form."""
    forms = result["forms"]
    names = [form["name"] for form in forms]
    figure, axes = panels(1, 3, width=10.5, height=0.45 * len(forms) + 1.6, sharey=True)
    series = [
        ("test accuracy, %", [100 * form["accuracy"] for form in forms], OTHER, "{:.1f}"),
        ("µs a sample, all at once", [form["times"]["microseconds_a_sample_of_all"] for form in forms], WITH, "{:.2f}"),
        ("µs for one sample alone", [form["times"]["microseconds_of_one_sample"] for form in forms], WITH, "{:.2f}"),
    ]
    for axis, (label, values, colour, text) in zip(axes[0], series):
        bars = axis.barh(names, values, color=colour, height=0.6)
        axis.bar_label(bars, [text.format(value) for value in values], padding=3)
        axis.set_xlabel(label)
        axis.set_xlim(0, 1.25 * max(values))
        axis.grid(axis="y", visible=False)
    axes[0][0].invert_yaxis()
    full = forms[0]
    paragraph = (
        f"One network of {result['depth']} hidden layers of {result['width']}, trained with batch norm, on {result['samples']} test "
        f"images, on one thread. Full: products of matrices, batch norm with running averages, ReLU. Its accuracy is "
        f"{percent(full['accuracy'])}. "
        + " ".join(
            f"{form['name'].capitalize()}: {percent(form['accuracy'])}, {percent(form['predictions_changed'])} of the predictions "
            f"changed, {form['times']['microseconds_of_one_sample'] / full['times']['microseconds_of_one_sample']:.2f} times the time "
            f"of the full network for one sample."
            for form in forms[1:]
        )
        + " Folding moves batch norm into the weights and a bias, so that nothing of it is left to compute."
        + "".join(f" {EXPLANATIONS[name]}" for name in names if name in EXPLANATIONS)
        + "".join(f" Left out is {form['name']}: {form['reason']}." for form in result.get("left_out", []))
    )
    rows = [
        [
            form["name"],
            percent(form["accuracy"]),
            percent(form["predictions_changed"]),
            number(form["difference_of_logits"]),
            number(form["times"]["microseconds_a_sample_of_all"]),
            number(form["times"]["microseconds_of_one_sample"]),
        ]
        for form in forms
    ]
    header = [
        "",
        "accuracy",
        "predictions changed",
        "difference of logits, relative",
        "µs a sample, all at once",
        "µs for one sample",
    ]
    return [Picture("g_deployment", "Deployment: accuracy and time", paragraph, header, rows, figure)]
