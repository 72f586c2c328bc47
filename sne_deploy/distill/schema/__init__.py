"""Tables of an experiment file, each by itself; :mod:`sne_deploy.distill.experiment` puts them together."""
