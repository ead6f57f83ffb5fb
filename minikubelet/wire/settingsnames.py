"""Fields of upstream's KubeletConfiguration (v1beta1, 1.36) that are known and do nothing here yet.

Belongs here: names only. A name moves to `model.settings` when something reads it.
"""

from __future__ import annotations

from typing import Final

_NAMES = """
cgroupDriver cgroupRoot cgroupsPerQOS configMapAndSecretChangeDetectionStrategy
containerLogMaxWorkers contentType cpuCFSQuota cpuCFSQuotaPeriod cpuManagerPolicy
cpuManagerPolicyOptions cpuManagerReconcilePeriod draManagerReconcilePeriod enableContentionProfiling
enableControllerAttachDetach enableDebugFlagsHandler enableDebuggingHandlers enableProfilingHandler
enableServer enableSystemLogHandler enableSystemLogQuery enforceNodeAllocatable eventBurst
eventRecordQPS
failCgroupV1 failSwapOn
featureGates hairpinMode healthzBindAddress healthzPort httpCheckFrequency
imagePullCredentialsVerificationPolicy
imageServiceEndpoint iptablesDropBit iptablesMasqueradeBit kernelMemcgNotification kubeAPIBurst
kubeAPIQPS kubeReservedCgroup kubeletCgroups localStorageCapacityIsolation
makeIPTablesUtilChains maxOpenFiles memoryManagerPolicy memoryReservationPolicy memorySwap
memoryThrottlingFactor nodeStatusMaxImages oomScoreAdj podCIDR
podHousekeepingPeriod podsPerCore preloadedImagesVerificationAllowlist protectKernelDefaults providerID
qosReserved readOnlyPort registerWithTaints registryBurst registryPullQPS reservedMemory
reservedSystemCPUs runOnce seccompDefault
showHiddenMetricsForVersion singleProcessOOMKill staticPodURL
staticPodURLHeader systemCgroups systemReservedCgroup
tlsCipherSuites tlsCurvePreferences tlsMinVersion topologyManagerPolicy topologyManagerPolicyOptions
topologyManagerScope tracing userNamespaces volumePluginDir volumeStatsAggPeriod
"""

KNOWN_KUBELET_FIELDS: Final = frozenset(_NAMES.split())

KNOWN_INNER_FIELDS: Final = {"logging": frozenset(("flushFrequency", "vmodule", "options"))}
"""likewise inside a field of which something is honoured"""
