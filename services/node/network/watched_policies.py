"""Policies kept by watches. Which Pods there are in the whole cluster is watched only once a policy exists:
most clusters have none, and every node would hold every Pod.
"""

from __future__ import annotations

import asyncio
from random import Random

from services.api.core_v1 import Namespace, Pod
from services.api.networking_v1 import NetworkPolicy
from services.client.client import Client
from services.client.informer import InformerFactory
from services.client.log import Logger
from services.machinery.clock import Clock
from services.node.network.policies import Policies


class WatchedPolicies:
    """`rules` answers from the first moment; a policy counts once the Pods are known."""

    def __init__(self, client: Client, clock: Clock, random: Random, log: Logger) -> None:
        self.rules = Policies()
        self._client, self._clock, self._random, self._log = client, clock, random, log
        self._needed = asyncio.Event()
        self._complete = False

    def _factory(self) -> InformerFactory:
        return InformerFactory(self._client, self._clock, self._random, self._log)

    async def run(self) -> None:
        """Until cancelled."""
        informers = self._factory()
        informers.informer(NetworkPolicy).add_handler(
            lambda policy, _: self._put(policy),
            lambda _, policy, __: self._put(policy),
            lambda policy, _: self.rules.remove_policy(policy.key),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(informers.run())
            await self._needed.wait()
            await self._watch_pods(group)
            for policy in informers.informer(NetworkPolicy).store.list():
                self.rules.put_policy(policy)
            self._complete = True
            self._log.debug("NetworkPolicies are in force")

    async def _watch_pods(self, group: asyncio.TaskGroup) -> None:
        informers = self._factory()
        pods, namespaces = informers.informer(Pod), informers.informer(Namespace)
        pods.add_handler(
            lambda pod, _: self.rules.put_pod(pod),
            lambda _, pod, __: self.rules.put_pod(pod),
            lambda pod, _: self.rules.remove_pod(pod.key),
        )
        namespaces.add_handler(
            lambda namespace, _: self.rules.put_namespace(namespace),
            lambda _, namespace, __: self.rules.put_namespace(namespace),
            lambda namespace, _: self.rules.remove_namespace(namespace.key.name),
        )
        group.create_task(informers.run())
        await pods.wait_synced()
        await namespaces.wait_synced()

    def _put(self, policy: NetworkPolicy) -> None:
        self._needed.set()
        if self._complete:
            self.rules.put_policy(policy)
