"""Programs made of models, for TensorFlow Serving and LiteRT, and one way to run them."""
