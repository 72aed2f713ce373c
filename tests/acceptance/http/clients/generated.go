// Uses a client that is generated from the manager's OpenAPI document.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"example/workmanager"
)

func main() {
	ctx := context.Background()
	settings := workmanager.NewConfiguration()
	settings.Servers = workmanager.ServerConfigurations{{URL: os.Getenv("URL")}}
	client := workmanager.NewAPIClient(settings)

	data, err := os.CreateTemp("", "data")
	check(err)
	_, err = data.WriteString("a file")
	check(err)
	_, err = data.Seek(0, 0)
	check(err)
	work, answer, err := client.JobsAPI.Enqueue(ctx).Iterations(3).Body(data).Execute()
	check(err)
	fmt.Println(answer.StatusCode, len(work.GetWorkID()))

	job := workmanager.NewSubmission("noop")
	job.SetFeed(false)
	job.SetKwargs(map[string]interface{}{"seconds": 0})
	submitted, _, err := client.JobsAPI.SubmitJob(ctx).Submission(*job).Execute()
	check(err)
	shown, _, err := client.JobsAPI.GetJob(ctx, submitted.GetId()).Execute()
	check(err)
	fmt.Println(shown.GetFunction(), shown.GetQueue())

	results, _, err := client.ResultsAPI.PullCompleted(ctx).Top(1).Wait(30).Execute()
	check(err)
	fmt.Println(results[0].GetWorkID() == work.GetWorkID(), results[0].GetValue())

	_, _, err = client.JobsAPI.GetJob(ctx, "missing").Execute()
	var refused *workmanager.GenericOpenAPIError
	if errors.As(err, &refused) {
		problem := refused.Model().(workmanager.ProblemDetails)
		fmt.Println(problem.GetStatus(), problem.GetTitle())
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
