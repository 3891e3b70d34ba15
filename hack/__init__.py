"""Programs of the checkout that are not part of the product: local cluster, images, generators, demo, tests."""
