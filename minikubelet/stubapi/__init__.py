"""The stub API server: enough of Kubernetes' API for kubectl and the agent.

Belongs here: objects, watches, patches and tables. May not be here: a scheduler, controllers
of other workloads than DaemonSets, the agent.
"""
