"""The stub API server: enough of Kubernetes' API for kubectl and the agent.

Belongs here: objects, watches, patches and tables. May not be here: controllers of
workloads, a scheduler, the agent.
"""
