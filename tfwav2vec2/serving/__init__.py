"""Models that run without this package: TensorFlow's SavedModels, with all processing inside."""
