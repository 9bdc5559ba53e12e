"""Recipes: how the models that come with the package were trained, so that anyone can train them again."""
