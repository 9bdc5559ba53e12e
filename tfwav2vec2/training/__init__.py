"""What training needs: losses, data, metrics."""

# Once Keras is loaded the models register themselves, and they import the losses: before any module here has begun.
import keras  # noqa: F401 - for that effect
