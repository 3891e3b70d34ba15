"""Turns a model's source into a container image: a base image plus one reproducible layer, pushed by digest.

Run as `python -m aimodel_operator.imagebuild` in a build Job; the operator itself uses only `registry` (to
look an image up before it makes a Job) and `plan` (the tag to look for). The path is `request → build:
fetch → scan → layer → manifest → registry`. This package imports `api` and nothing else of the operator,
knows nothing of Kubernetes, and never runs, imports or unpickles anything of a model.
"""
