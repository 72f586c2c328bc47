"""Processors, one file for each kind of figure; :mod:`sne_deploy.energy.processor` reads them."""
