"""The verb predict."""

from modelsgenesis.inference.predict import predict

__all__ = ["predict"]
