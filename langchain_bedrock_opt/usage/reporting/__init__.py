"""What records add up to, and how that is shown.

`totals` adds up, `grouping` by what; `savings`, `timeline`, `findings` and `tables` are the parts
of a report as data, and `html`, `svg`, `text`, `frames` and `figures` show them. Start at
`report.usage_report`.
"""
