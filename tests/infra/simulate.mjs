// Evaluates requests against policies. Standard input: {account, partition, "policies": […], "requests": [{action,
// resource, context}]}; standard output: the result of each. The package is found from the working directory.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(`${process.cwd()}/`)
const { runSimulation } = await import(pathToFileURL(require.resolve('@cloud-copilot/iam-simulate')).href)

let text = ''
for await (const chunk of process.stdin) text += chunk
const { account, partition, policies, requests } = JSON.parse(text)

const results = []
for (const { action, resource, context } of requests) {
  const simulation = {
    identityPolicies: policies.map((policy, index) => ({ name: `policy-${index}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    request: {
      action,
      principal: `arn:${partition}:sts::${account}:assumed-role/role/i-0123456789abcdef0`,
      resource: { accountId: account, resource },
      contextVariables: context
    },
    // A key's own policy leaves it to IAM, as that of a new key does.
    resourcePolicy: action.startsWith('kms:')
      ? {
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:${partition}:iam::${account}:root` }, Action: 'kms:*', Resource: '*' }]
        }
      : undefined
  }
  const answer = await runSimulation(simulation, {})
  results.push(answer.resultType === 'error' ? { error: answer.errors } : { result: answer.overallResult })
}
console.log(JSON.stringify(results))
