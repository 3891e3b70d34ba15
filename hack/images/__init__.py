"""Builds the operator's and the serving image and pushes them by digest; run as `python -m hack.images`.

The path is `__main__` → `operator_image` / `serving_image` (what goes into an image) → `engine` (buildah or
docker) → `registry` (what arrived). Standard library only: it runs before anything is installed.
"""
