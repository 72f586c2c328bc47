"""The linear classifier to beat: multinomial logistic regression on the mean over time of each coefficient.

    python examples/japanese_vowels/baseline.py

The penalty is chosen by ten-fold cross-validation on the training split; then the test split is seen once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
PENALTIES = 10.0 ** np.arange(-2, 4)


def means(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean of every coefficient over an utterance's own steps, of shape (N, 12), and the speakers."""
    with np.load(HERE / f"{split}.npz") as data:
        return data["x"].sum(axis=1, dtype=np.float64) / data["lengths"][:, None], data["y"]


@dataclass(frozen=True)
class LinearClassifier:
    """Accuracies of the classifier, and its inverse penalty."""

    cross_validation: float
    test: float
    penalty: float


def linear_classifier() -> LinearClassifier:
    """Fit and measure."""
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    search = GridSearchCV(model, {"logisticregression__C": PENALTIES}, cv=folds).fit(*means("train"))
    x, y = means("test")
    test = float(np.mean(search.predict(x) == y))
    return LinearClassifier(search.best_score_, test, search.best_params_["logisticregression__C"])


if __name__ == "__main__":
    found = linear_classifier()
    print(f"cross-validation {found.cross_validation:.2%} with C = {found.penalty:g}; test {found.test:.2%}")
