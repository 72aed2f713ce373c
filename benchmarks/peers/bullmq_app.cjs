// BullMQ app for the benchmarks. `fill URL N` queues N jobs with addBulk; `joins URL N` queues N flows of five children;
// `schedules URL N` creates N schedulers whose next run is always due;
// `latency URL N` times N jobs, one after the other; `work URL CONCURRENCY` runs jobs until killed, and
// `limited URL CONCURRENCY` with a limit that is never reached.
const { FlowProducer, Queue, QueueEvents, Worker } = require('bullmq');
const Redis = require('ioredis');

const [verb, url, number] = process.argv.slice(2);
const connection = () => new Redis(url, { maxRetriesPerRequest: null });

async function fill(jobs) {
  const queue = new Queue('side', { connection: connection() });
  for (let start = 0; start < jobs; start += 1000) {
    const some = Math.min(1000, jobs - start);
    await queue.addBulk(Array.from({ length: some }, () => ({ name: 'noop', data: {} })));
  }
  await queue.close();
  process.exit(0);
}

async function joins(groups) {
  const producer = new FlowProducer({ connection: connection() });
  const job = { name: 'noop', queueName: 'side', data: {} };
  const started = process.hrtime.bigint();
  for (let start = 0; start < groups; start += 100) {
    const some = Math.min(100, groups - start);
    await producer.addBulk(Array.from({ length: some }, () => ({ ...job, children: Array(5).fill(job) })));
  }
  console.log(Number(process.hrtime.bigint() - started) / 1e9);
  await producer.close();
  process.exit(0);
}

async function schedules(number) {
  const queue = new Queue('side', { connection: connection() });
  for (let start = 0; start < number; start += 100) {
    const some = Array.from({ length: Math.min(100, number - start) }, (_, place) => start + place);
    await Promise.all(some.map((each) => queue.upsertJobScheduler(`s${each}`, { every: 1 }, { name: 'noop', data: {} })));
  }
  await queue.close();
  process.exit(0);
}

async function latency(jobs) {
  const queue = new Queue('side', { connection: connection() });
  const events = new QueueEvents('side', { connection: connection() });
  await events.waitUntilReady();
  const latencies = [];
  for (let number = 0; number < jobs; number += 1) {
    await new Promise((resolve) => setTimeout(resolve, 5 + 45 * Math.random()));
    const started = process.hrtime.bigint();
    const job = await queue.add('noop', {});
    await job.waitUntilFinished(events);
    latencies.push(Number(process.hrtime.bigint() - started) / 1e9);
  }
  console.log(JSON.stringify(latencies));
  await Promise.all([queue.close(), events.close()]);
  process.exit(0);
}

function work(concurrency, options = {}) {
  // BullMQ keeps finished jobs by default.
  const worker = new Worker('side', async () => null, { connection: connection(), concurrency, ...options });
  process.on('SIGTERM', () => worker.close().then(() => process.exit(0)));
}

const limiter = { max: 1e9, duration: 1000 };
const verbs = { fill, joins, schedules, latency, work, limited: (concurrency) => work(concurrency, { limiter }) };
verbs[verb](Number(number));
