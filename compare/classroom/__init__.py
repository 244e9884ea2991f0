"""A class: what is graded and for how many points, the grading, and the board.

`course` reads what the teacher says, `seeds` gives everybody runs of his own, `submission` takes
what was handed in, `worker` makes the checks in a process that `watched` keeps an eye on and
`keeper` sees to the end of, `private` has the folders that it works in, `marks` counts, `files`
writes what programs read, `laid_out` and `bundle` make what a teacher begins with, and `board` says
who needs how much CPU.
"""
