"""S3 and the control plane, in small blocks: what a run is put together from.

`folder` is a place in S3 with state as JSON; `upload` writes a job's input line by line,
`download` reads an output back, `output` reads one line of it, `collecting` joins the lines with
the places they answer. `states` is what Bedrock says of a job, `control` makes and stops jobs,
`poller` waits for them, `hints` says what to do about a refusal. `names` makes names that are the
same after a crash; `preflight` looks at the bucket before anything is uploaded. Nothing here
knows what is in a record.
"""
