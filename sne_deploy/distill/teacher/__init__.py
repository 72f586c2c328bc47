"""The teacher: its architectures, training and features, and the division of these among students."""

from sne_deploy.distill.teacher.network import Teacher

__all__ = ["Teacher"]
