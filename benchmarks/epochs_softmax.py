"""One epoch of ten classes, against SGDClassifier (one-vs-rest) and PyTorch (softmax).

The losses are log losses of the training rows. Theirs for SGDClassifier is that of its one-vs-rest
probabilities: another model, with the same purpose.
"""

from functools import partial

import numpy as np

from benchmarks import peers, problems, report, timing
from benchmarks.epochs_dense import ALPHA, logistic_regression, sgd_classifier
from benchmarks.objectives import log_loss

CASES = {"softmax 100k x 100, 10 classes": (100_000, 100, 10)}
REACH = {"SGDClassifier": 18, "torch": 9}
BATCH, EPOCHS = 256, 2


def torch_softmax(X, y, epochs):
    """Logits of the training rows after so many epochs of the plain loop."""
    torch = peers.torch()
    net = torch.nn.Linear(X.shape[1], int(y.max()) + 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=ALPHA, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    rows, targets = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(epochs):
        order = torch.randperm(len(rows))
        for begin in range(0, len(rows), BATCH):
            picked = order[begin : begin + BATCH]
            optimizer.zero_grad()
            loss_of(net(rows[picked]), targets[picked]).backward()
            optimizer.step()
    return net


def loss(model, X, y) -> float:
    if hasattr(model, "predict_log_proba"):
        return log_loss(np.log(np.maximum(model.predict_proba(X), 1e-15)), y)
    torch = peers.torch()
    with torch.no_grad():
        return log_loss(model(torch.from_numpy(X)).numpy(), y)


def measure(case, repeats, textbook):
    n, d, k = CASES[case]
    X, y = problems.classes(n, d, k)
    ours = partial(
        logistic_regression, X, y, solver="adam", batch_size=BATCH, precondition=not textbook
    )
    fits = {
        "ours": ours,
        "SGDClassifier": partial(sgd_classifier, X, y, eta0=0.2 / d),
    }
    if peers.torch() is not None:
        fits["torch"] = partial(torch_softmax, X, y)
    sides = {name: partial(timing.epoch, fit, EPOCHS) for name, fit in fits.items()}
    figures = timing.alternate(sides, repeats)
    losses = {name: loss(figure.result, X, y) for name, figure in figures.items()}
    for name in fits:
        if name == "ours":
            continue
        head: report.Row = {"case": case, "solver": f"adam b{BATCH}", "against": name}
        row = timing.versus(head, "ns a row", figures["ours"], figures[name], REACH[name], 1e9 / n)
        row["objective, ours"], row["objective, theirs"] = losses["ours"], losses[name]
        yield row
