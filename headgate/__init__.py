"""Headgate releases machine-learning models: the core, which only decides.

Nothing in this package imports Prefect, MLflow, Great Expectations, scikit-learn, pandas or boto3, and nothing
in it reads a clock or draws a random number: time, identities and seeds are arguments.
"""

__version__ = "0.1.0"
