// The flow of an application, through the official Node SDK, over REST v2 (HttpClient) and gRPC (MilvusClient):
// create, insert, index, load, filtered search, query, delete, drop.
//
// usage: node node_flow.mjs URI [TOKEN]     (from a directory whose node_modules has the SDK)
//
// Every search is held against this script's own brute force. Exits 1 with one line on the first mismatch.

import { createRequire } from 'node:module';
import path from 'node:path';

// Found from the working directory: this file stands outside of any node_modules.
const require = createRequire(path.join(process.cwd(), 'here.js'));
const { MilvusClient, HttpClient, DataType } = require('@zilliz/milvus2-sdk-node');

const ROWS = 1000;
const DIM = 16;
const LIMIT = 10;
const CATEGORIES = ['electronics', 'books', 'clothing', 'home'];

function check(condition, message) {
  if (!condition) {
    console.error(`MISMATCH: ${message}`);
    process.exit(1);
  }
}

function equal(actual, expected, what) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  check(a === e, `${what}: got ${a}, expected ${e}`);
}

// Mulberry32: the same rows in every run.
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const random = generator(7);
const vector = () => Array.from({ length: DIM }, () => random() * 2 - 1);
const l2 = (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0);

function makeRows() {
  return Array.from({ length: ROWS }, (_, id) => ({
    id,
    vector: vector(),
    category: CATEGORIES[Math.floor(random() * CATEGORIES.length)],
    price: Math.round(random() * 1e5) / 100,
    colour: random() < 0.5 ? 'red' : 'blue',
  }));
}

const FILTERS = [
  ['', () => true],
  ['category == "electronics"', row => row.category === 'electronics'],
  ['price >= 100 and price < 500', row => row.price >= 100 && row.price < 500],
  ['category in ["books", "home"] && price < 300', row => ['books', 'home'].includes(row.category) && row.price < 300],
  ['colour == "red"', row => row.colour === 'red'],
  ['price < 0', () => false],
];

function checkHits(rows, query, keep, hits, what) {
  const truth = rows
    .filter(keep)
    .map(row => [l2(query, row.vector), row.id])
    .sort((a, b) => a[0] - b[0])
    .slice(0, LIMIT);
  equal(hits.length, truth.length, `hits of ${what}`);
  const keys = new Set(truth.map(hit => hit[1]));
  const found = hits.filter(hit => keys.has(Number(hit.id))).length;
  check(found >= 0.95 * truth.length, `recall of ${what} is ${found} of ${truth.length}`);
  hits.forEach((hit, place) => {
    const row = rows.find(row => row.id === Number(hit.id));
    check(keep(row), `row ${hit.id} does not fit ${what}`);
    const distance = hit.distance ?? hit.score;
    check(Math.abs(distance - l2(query, row.vector)) < 1e-3, `distance ${distance} of row ${hit.id} in ${what}`);
    check(place === 0 || distance >= (hits[place - 1].distance ?? hits[place - 1].score), `order of ${what}`);
    equal(hit.category, row.category, `category of a hit of ${what}`);
  });
}

function ok(answer, what) {
  check(answer.code === 0, `${what} answered ${JSON.stringify(answer).slice(0, 300)}`);
  return answer.data;
}

async function rest(uri, token) {
  const client = new HttpClient({ endpoint: uri, token });
  const collectionName = 'node_rest';
  ok(await client.dropCollection({ collectionName }), 'drop of what is not there');
  equal(ok(await client.hasCollection({ collectionName }), 'has').has, false, 'has');
  ok(await client.createCollection({
    collectionName,
    schema: {
      autoId: false,
      enableDynamicField: true,
      fields: [
        { fieldName: 'id', dataType: 'Int64', isPrimary: true },
        { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: String(DIM) } },
        { fieldName: 'category', dataType: 'VarChar', elementTypeParams: { max_length: 32 } },
        { fieldName: 'price', dataType: 'Float' },
      ],
    },
  }), 'create');
  equal(ok(await client.listCollections({}), 'list').includes(collectionName), true, 'list');

  const rows = makeRows();
  const inserted = ok(await client.insert({ collectionName, data: rows }), 'insert');
  equal([inserted.insertCount, inserted.insertIds.length], [ROWS, ROWS], 'insert');
  ok(await client.createIndex({
    collectionName,
    indexParams: [{ fieldName: 'vector', indexName: 'v', metricType: 'L2', indexType: 'IVF_FLAT', params: { nlist: 64 } }],
  }), 'create index');
  equal(ok(await client.listIndexes({ collectionName }), 'list indexes'), ['v'], 'list indexes');
  const [index] = ok(await client.descriptionIndex?.({ collectionName, indexName: 'v' })
    ?? await client.describeIndex({ collectionName, indexName: 'v' }), 'describe index');
  equal([index.metricType, index.indexType, index.indexState], ['L2', 'IVF_FLAT', 'Finished'], 'describe index');
  ok(await client.loadCollection({ collectionName }), 'load');
  await loaded(client, collectionName);
  const described = ok(await client.describeCollection({ collectionName }), 'describe');
  equal(described.fields.map(field => field.name), ['id', 'vector', 'category', 'price'], 'fields');
  equal(ok(await client.getCollectionStatistics({ collectionName }), 'statistics').rowCount, ROWS, 'rowCount');

  for (const [filter, keep] of FILTERS) {
    const query = vector();
    const hits = ok(await client.search({
      collectionName, data: [query], annsField: 'vector', limit: LIMIT, filter,
      outputFields: ['category', 'colour'], searchParams: { metricType: 'L2', params: { nprobe: 16 } },
    }), `search ${filter}`);
    checkHits(rows, query, keep, hits, `REST ${filter || 'no filter'}`);
  }

  const [count] = ok(await client.query({ collectionName, filter: '', outputFields: ['count(*)'] }), 'count');
  equal(Number(count['count(*)']), ROWS, 'count(*)');
  const found = ok(await client.query({ collectionName, filter: 'id in [3, 5]', outputFields: ['category', 'colour'] }), 'query');
  equal(found.map(row => [Number(row.id), row.category, row.colour]), [3, 5].map(id => [id, rows[id].category, rows[id].colour]), 'query');
  const got = ok(await client.get({ collectionName, id: [7], outputFields: ['price'] }), 'get');
  check(Math.abs(got[0].price - rows[7].price) < 1e-2, 'price of a row');
  ok(await client.upsert({ collectionName, data: [{ ...rows[3], price: 1 }] }), 'upsert');
  rows[3].price = 1;
  ok(await client.delete({ collectionName, filter: 'id in [0, 1]' }), 'delete');
  const [left] = ok(await client.query({ collectionName, filter: '', outputFields: ['count(*)'] }), 'count');
  equal(Number(left['count(*)']), ROWS - 2, 'count(*) after upsert and delete');

  const missing = await client.search({ collectionName: 'nowhere', data: [vector()], limit: 1 });
  equal(missing.code, 100, 'code of a search in a collection that is not there');
  const wrong = await client.search({ collectionName, data: [vector()], limit: 1, filter: 'price >>> 1' });
  check(wrong.code === 65535 && wrong.message.includes('cannot parse expression'), `a wrong filter said ${JSON.stringify(wrong)}`);
  ok(await client.dropCollection({ collectionName }), 'drop');
  equal(ok(await client.hasCollection({ collectionName }), 'has').has, false, 'has after drop');

  // Created from a dimension: index and load included.
  ok(await client.createCollection({ collectionName, dimension: DIM, metricType: 'L2' }), 'quick create');
  ok(await client.insert({ collectionName, data: rows.slice(0, 50) }), 'insert');
  await loaded(client, collectionName);
  const hits = ok(await client.search({ collectionName, data: [rows[9].vector], limit: 1 }), 'search');
  equal(Number(hits[0].id), 9, 'the row itself');
  ok(await client.dropCollection({ collectionName }), 'drop');
}

// Loading goes on after it was asked for.
async function loaded(client, collectionName) {
  for (;;) {
    const { loadState } = ok(await client.getCollectionLoadState({ collectionName }), 'load state');
    if (loadState === 'LoadStateLoaded') break;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

async function grpc(uri, token) {
  const client = new MilvusClient({ address: uri, token });
  await client.connectPromise;
  const collection_name = 'node_grpc';
  const done = (answer, what) => {
    const status = answer.status ?? answer;
    check(Number(status.code ?? 0) === 0, `${what} answered ${JSON.stringify(status)}`);
    return answer;
  };
  check((await client.getVersion()).version.includes('squall'), 'the server does not say that it is a sandbox');
  equal((await client.checkHealth()).isHealthy, true, 'checkHealth');
  equal((await client.hasCollection({ collection_name })).value, false, 'hasCollection');
  done(await client.createCollection({
    collection_name,
    enable_dynamic_field: true,
    fields: [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true },
      { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
      { name: 'category', data_type: DataType.VarChar, max_length: 32 },
      { name: 'price', data_type: DataType.Float },
    ],
  }), 'create');
  const rows = makeRows();
  done(await client.insert({ collection_name, data: rows }), 'insert');
  done(await client.flushSync({ collection_names: [collection_name] }), 'flush');
  done(await client.createIndex({ collection_name, field_name: 'vector', index_type: 'HNSW', metric_type: 'L2', params: { M: 8, efConstruction: 64 } }), 'create index');
  done(await client.loadCollectionSync({ collection_name }), 'load');
  equal(Number((await client.getCollectionStatistics({ collection_name })).data.row_count), ROWS, 'row_count');
  for (const [filter, keep] of FILTERS) {
    const query = vector();
    const answer = done(await client.search({
      collection_name, data: [query], anns_field: 'vector', limit: LIMIT, filter,
      // The SDK shows the key only if it is among the output fields.
      output_fields: ['id', 'category', 'colour'], params: { ef: 64 },
    }), `search ${filter}`);
    checkHits(rows, query, keep, answer.results.flat(), `gRPC ${filter || 'no filter'}`);
  }
  const counted = done(await client.query({ collection_name, filter: '', output_fields: ['count(*)'] }), 'count');
  equal(Number(counted.data[0]['count(*)']), ROWS, 'count(*)');
  const got = done(await client.get({ collection_name, ids: [3, 5], output_fields: ['category'] }), 'get');
  equal(got.data.map(row => row.category), [rows[3].category, rows[5].category], 'get');
  done(await client.upsert({ collection_name, data: [{ ...rows[3], price: 1 }] }), 'upsert');
  done(await client.delete({ collection_name, ids: [0, 1] }), 'delete by keys');
  done(await client.delete({ collection_name, filter: 'category == "home"' }), 'delete by filter');
  const kept = rows.filter(row => row.id > 1 && row.category !== 'home').length;
  const left = done(await client.query({ collection_name, filter: '', output_fields: ['count(*)'] }), 'count');
  equal(Number(left.data[0]['count(*)']), kept, 'count(*) after delete');
  done(await client.releaseCollection({ collection_name }), 'release');
  done(await client.dropCollection({ collection_name }), 'drop');
  equal((await client.hasCollection({ collection_name })).value, false, 'hasCollection after drop');
  await client.closeConnection();
}

const [uri, token = ''] = process.argv.slice(2);
await rest(uri, token);
await grpc(uri, token);
console.log('node: all answers equal brute force');
process.exit(0);
