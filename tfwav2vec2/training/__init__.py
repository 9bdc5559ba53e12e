"""What training needs: losses, data, metrics."""
