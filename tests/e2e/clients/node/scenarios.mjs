// What a program in JavaScript does with a cluster. Usage: node scenarios.mjs SCENARIO NAMESPACE, with KUBECONFIG.

import assert from 'node:assert/strict';
import net from 'node:net';
import { PassThrough, Readable, Writable } from 'node:stream';
import * as k8s from '@kubernetes/client-node';

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const [scenario, namespace] = process.argv.slice(2);
const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;

function configMap(name, data = {}) {
  return { metadata: { name, labels: { of: 'test' } }, data };
}

// All that is written to it, and a promise for when a text is among it.
class Heard extends Writable {
  bytes = Buffer.alloc(0);
  waiting = [];

  _write(chunk, encoding, done) {
    this.bytes = Buffer.concat([this.bytes, Buffer.from(chunk, encoding)]);
    this.waiting = this.waiting.filter(({ text, found }) => {
      if (!this.bytes.includes(text)) return true;
      found();
      return false;
    });
    done();
  }

  hears(text) {
    if (this.bytes.includes(text)) return Promise.resolve();
    return new Promise((found) => this.waiting.push({ text, found }));
  }
}

function refusedWith(code, reason) {
  return (error) => {
    assert.equal(error.code, code);
    assert.equal(JSON.parse(error.body).reason, reason);
    return true;
  };
}

async function running(name) {
  for (;;) {
    const pod = await core.readNamespacedPod({ name, namespace });
    if (pod.status.phase === 'Running') return pod;
    await new Promise((resume) => setTimeout(resume, 100));
  }
}

// Events of a watch until `enough` says so; what the client says when it ends otherwise.
function watched(query, enough) {
  return new Promise((resolve, reject) => {
    const seen = [];
    let controller;
    const end = (error) => (error && !seen.done ? reject(error) : resolve(seen));
    const each = (type, object) => {
      seen.push({ type, object });
      if (!seen.done && enough(seen)) {
        seen.done = true;
        controller ? controller.abort() : setImmediate(() => controller.abort());
      }
    };
    new k8s.Watch(config).watch(configMaps, query, each, end).then((made) => (controller = made), reject);
  });
}

const scenarios = {
  async objects() {
    const made = await core.createNamespacedConfigMap({ namespace, body: configMap('settings', { a: '1' }) });
    assert(made.metadata.creationTimestamp instanceof Date);
    made.data.b = '2';
    await core.replaceNamespacedConfigMap({ name: 'settings', namespace, body: made });
    await assert.rejects(
      core.replaceNamespacedConfigMap({ name: 'settings', namespace, body: made }),
      refusedWith(409, 'Conflict'),
    );
    const { items } = await core.listNamespacedConfigMap({ namespace, labelSelector: 'of=test', limit: 1 });
    assert.deepEqual(items[0].data, { a: '1', b: '2' });
    const ended = await core.deleteNamespacedConfigMap({ name: 'settings', namespace });
    assert.equal(ended.status, 'Success');
    await assert.rejects(
      core.readNamespacedConfigMap({ name: 'settings', namespace }),
      refusedWith(404, 'NotFound'),
    );
    const node = (await core.listNode()).items[0];
    assert.equal(node.status.nodeInfo.operatingSystem, 'linux');
  },

  async patches() {
    await core.createNamespacedConfigMap({ namespace, body: configMap('patched', { a: '1' }) });
    const each = [
      [k8s.PatchStrategy.JsonPatch, [{ op: 'add', path: '/data/json', value: '1' }]],
      [k8s.PatchStrategy.MergePatch, { data: { merge: '1' } }],
      [k8s.PatchStrategy.StrategicMergePatch, { data: { strategic: '1' } }],
    ];
    for (const [strategy, body] of each) {
      await core.patchNamespacedConfigMap(
        { name: 'patched', namespace, body },
        k8s.setHeaderOptions('Content-Type', strategy),
      );
    }
    const objects = k8s.KubernetesObjectApi.makeApiClient(config);
    const applied = { apiVersion: 'v1', kind: 'ConfigMap', ...configMap('patched', { apply: '1' }) };
    applied.metadata.namespace = namespace;
    const found = await objects.patch(
      applied, undefined, undefined, 'tester', true, k8s.PatchStrategy.ServerSideApply,
    );
    assert.deepEqual(Object.keys(found.data).sort(), ['a', 'apply', 'json', 'merge', 'strategic']);
    await objects.delete(applied);
  },

  async watches() {
    const { metadata } = await core.listNamespacedConfigMap({ namespace });
    await core.createNamespacedConfigMap({ namespace, body: configMap('one') });
    await core.deleteNamespacedConfigMap({ name: 'one', namespace });
    const since = { resourceVersion: metadata.resourceVersion, labelSelector: 'of=test' };
    const seen = await watched(since, (seen) => seen.length === 2);
    assert.deepEqual(seen.map(({ type }) => type), ['ADDED', 'DELETED']);
    const resumed = { ...since, resourceVersion: seen[0].object.metadata.resourceVersion };
    assert.equal((await watched(resumed, (seen) => seen.length === 1))[0].type, 'DELETED');
    const old = await watched({ resourceVersion: '1' }, (seen) => seen.length === 1);
    assert.equal(old[0].type, 'ERROR');
    assert.equal(old[0].object.code, 410);
    const initial = { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan', allowWatchBookmarks: true };
    const [bookmark] = (await watched(initial, (seen) => seen.at(-1).type === 'BOOKMARK')).slice(-1);
    assert.equal(bookmark.object.metadata.annotations['k8s.io/initial-events-end'], 'true');
  },

  async informer() {
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'of=informer' });
    const informer = k8s.makeInformer(config, configMaps, list, 'of=informer');
    const added = new Promise((seen) => informer.on('add', seen));
    const deleted = new Promise((seen) => informer.on('delete', seen));
    await informer.start();
    const body = { metadata: { name: 'informed', labels: { of: 'informer' } } };
    await core.createNamespacedConfigMap({ namespace, body });
    assert.equal((await added).metadata.name, 'informed');
    await core.deleteNamespacedConfigMap({ name: 'informed', namespace });
    assert.equal((await deleted).metadata.name, 'informed');
    await informer.stop();
  },

  async logs() {
    const heard = new Heard();
    const controller = await new k8s.Log(config).log(namespace, 'web', 'main', heard, { follow: true });
    await heard.hears('Kubia server starting...');
    await core.connectGetNamespacedPodProxyWithPath({ name: 'web:8080', namespace, path: '' });
    await heard.hears('Received request');
    controller.abort();
  },

  async exec() {
    const exec = new k8s.Exec(config);
    const run = async (command, stdin, out = new Heard(), err = new Heard()) => {
      const status = await new Promise((ended, failed) => {
        exec.exec(namespace, 'web', 'main', command, out, err, stdin, false, ended).catch(failed);
      });
      return { status, out: out.bytes, err: err.bytes.toString() };
    };
    const bad = await run(['sh', '-c', 'echo out; echo err >&2; exit 3'], null);
    assert.deepEqual([bad.out.toString(), bad.err], ['out\n', 'err\n']);
    assert.deepEqual(bad.status.details.causes, [{ reason: 'ExitCode', message: '3' }]);
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 256));
    const copied = await run(['cat'], Readable.from([bytes]));
    assert.equal(copied.status.status, 'Success');
    assert(copied.out.equals(bytes));
    await assert.rejects(run(['nosuch'], null).then(({ status }) => assert.equal(status.status, 'Success')));
  },

  async attach() {
    const command = ['sh', '-c', 'while read line; do echo "heard $line"; done'];
    const containers = [{ name: 'main', image: 'busybox', command, stdin: true }];
    await core.createNamespacedPod({ namespace, body: { metadata: { name: 'attached' }, spec: { containers } } });
    await running('attached');
    const [stdin, heard] = [new PassThrough(), new Heard()];
    const socket = await new k8s.Attach(config).attach(namespace, 'attached', 'main', heard, null, stdin, false);
    stdin.write('you\n');
    await heard.hears('heard you\n');
    socket.close();
  },

  async forward() {
    const forward = new k8s.PortForward(config);
    const server = net.createServer((peer) => {
      forward.portForward(namespace, 'web', [8080], peer, null, peer);
    });
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address();
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
    assert.equal(await answer.text(), "You've hit web\n");
    server.close();
    const errors = new Heard();
    await forward.portForward(namespace, 'web', [81], new Heard(), errors, new PassThrough());
    await errors.hears('error forwarding port 81 to pod web');
  },
};

// What is thrown may hold half of the process: its message says enough.
function failed(error) {
  console.error(error?.message ?? String(error), error?.stack ?? '');
  process.exit(1);
}

process.on('uncaughtException', failed);
await scenarios[scenario]().catch(failed);
process.exit(0);
