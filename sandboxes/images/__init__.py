"""Sandbox images: built once, kept by the engine, named by what they are made of."""

from assay.sandboxes.images.build import build_image
from assay.sandboxes.images.catalog import find_image, image_from, list_images, prune_images, with_chosen_base
from assay.sandboxes.images.places import BuildPlaces
from assay.sandboxes.images.recipes import Recipe, load_recipe

__all__ = [
    "BuildPlaces",
    "Recipe",
    "build_image",
    "find_image",
    "image_from",
    "list_images",
    "load_recipe",
    "prune_images",
    "with_chosen_base",
]
