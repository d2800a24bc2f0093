mod nested;
mod workflows;
