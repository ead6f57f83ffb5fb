"""The driver for Docker engines; `DockerRuntime` is what the rest of the program needs of it."""

from minikubelet.runtimes.docker.dockerruntime import DockerRuntime

__all__ = ["DockerRuntime"]
