"""Images that a user brings, each way of bringing them a file.

To add one: a file with a function `load`, from `DataSettings` to `TaskData`; `--pipeline` takes its name. `--source`
and `--target` say what it reads, and `data.classes.own_task` makes a task of what was `Brought`.
"""
