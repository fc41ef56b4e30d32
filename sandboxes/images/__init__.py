"""Sandbox images: built once, kept by the engine, named by what they are made of."""

from assay.sandboxes.images.build import build_image
from assay.sandboxes.images.catalog import (
    find_image,
    image_from,
    inspect_named,
    list_images,
    with_chosen_base,
)
from assay.sandboxes.images.dependencies import Lock, dependency_image, dependency_tag
from assay.sandboxes.images.places import BuildPlaces
from assay.sandboxes.images.pruning import HeldImage, list_held, prune_images
from assay.sandboxes.images.recipes import Recipe, load_recipe

__all__ = [
    "BuildPlaces",
    "HeldImage",
    "Lock",
    "Recipe",
    "build_image",
    "dependency_image",
    "dependency_tag",
    "find_image",
    "image_from",
    "inspect_named",
    "list_held",
    "list_images",
    "load_recipe",
    "prune_images",
    "with_chosen_base",
]
