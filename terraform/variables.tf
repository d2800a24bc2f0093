# The same parameters as ../template.yaml has; tools/check_parity.py compares.

# ---- Names ------------------------------------------------------------------------------------------------------------

variable "name" {
  description = "Base of all names, 2 to 16 characters: functions NAME-api, NAME-scheduler and NAME-cron, table NAME-jobs, SQS queues NAME-QUEUE. In one account and region no name may be another one followed by a hyphen and more. It cannot be changed later without a new, empty table."
  type        = string
  default     = "ojs"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 16 lower-case letters, digits and hyphens, start with a letter and not end in a hyphen."
  }
}

variable "tags" {
  description = "Tags of everything that has tags, besides Application = ojs and Stack = NAME. The provider's default_tags apply as well."
  type        = map(string)
  default     = {}
  nullable    = false
}

# ---- Functions --------------------------------------------------------------------------------------------------------

variable "api_zip" {
  description = "Path of the API function's zip. Null: ../target/lambda/api/bootstrap.zip beside this folder, where cargo lambda build --release --output-format zip puts it."
  type        = string
  default     = null
}

variable "scheduler_zip" {
  description = "Path of the scheduler function's zip. Null: ../target/lambda/scheduler/bootstrap.zip beside this folder."
  type        = string
  default     = null
}

variable "cron_zip" {
  description = "Path of the cron function's zip. Null: ../target/lambda/cron/bootstrap.zip beside this folder."
  type        = string
  default     = null
}

variable "architecture" {
  description = "Processor of the functions, arm64 or x86_64. The zips must have been built for it."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "api_memory" {
  description = "Memory of the API function in MB, 128 to 10240. The CPU comes with it, so that less makes cold starts slow."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.api_memory >= 128 && var.api_memory <= 10240 && floor(var.api_memory) == var.api_memory
    error_message = "api_memory must be a whole number of MB, 128 to 10240."
  }
}

variable "tick_memory" {
  description = "Memory of the scheduler and cron functions in MB, 128 to 10240."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.tick_memory >= 128 && var.tick_memory <= 10240 && floor(var.tick_memory) == var.tick_memory
    error_message = "tick_memory must be a whole number of MB, 128 to 10240."
  }
}

variable "api_reserved_concurrency" {
  description = "Most requests that the API function works on at a time, 1 to 99999, taken out of the account's concurrency. Null: no limit of its own."
  type        = number
  default     = null

  # A conditional and not ||, which would look at the null as well.
  validation {
    condition = var.api_reserved_concurrency == null ? true : (
      var.api_reserved_concurrency >= 1 && var.api_reserved_concurrency <= 99999 && floor(var.api_reserved_concurrency) == var.api_reserved_concurrency
    )
    error_message = "api_reserved_concurrency must be null or a whole number from 1 to 99999."
  }
}

variable "tick_reserved_concurrency" {
  description = "Most invocations at a time of each of the scheduler and cron functions, 1 to 99999. 1 saves calls when ticks overlap; it is not needed for correctness. Null: no limit, since an account with a quota of 10 cannot reserve any."
  type        = number
  default     = null

  validation {
    condition = var.tick_reserved_concurrency == null ? true : (
      var.tick_reserved_concurrency >= 1 && var.tick_reserved_concurrency <= 99999 && floor(var.tick_reserved_concurrency) == var.tick_reserved_concurrency
    )
    error_message = "tick_reserved_concurrency must be null or a whole number from 1 to 99999."
  }
}

# ---- Access -----------------------------------------------------------------------------------------------------------

variable "api_key_secret_arn" {
  description = "ARN of an existing Secrets Manager secret whose string is one API key, several separated by commas, or JSON with names and roles. Empty: a secret NAME/api-key with one random key is made."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$", var.api_key_secret_arn))
    error_message = "api_key_secret_arn must be the complete ARN of a Secrets Manager secret, or empty."
  }
}

variable "throttle_rate" {
  description = "Requests a second that the HTTP API lets through, 1 to 100000; more get 429. Counts within the account's quota."
  type        = number
  default     = 500
  nullable    = false

  validation {
    condition     = var.throttle_rate >= 1 && var.throttle_rate <= 100000
    error_message = "throttle_rate must be from 1 to 100000 requests a second."
  }
}

variable "throttle_burst" {
  description = "Requests that the HTTP API lets through at once, 1 to 100000. Counts within the account's quota."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.throttle_burst >= 1 && var.throttle_burst <= 100000 && floor(var.throttle_burst) == var.throttle_burst
    error_message = "throttle_burst must be a whole number of requests, 1 to 100000."
  }
}

variable "cors_allow_origins" {
  description = "Origins whose pages may call the API from a browser, such as https://jobs.example.com. Empty: none, and no CORS headers."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.cors_allow_origins : can(regex("^\\*$|^https?://[A-Za-z0-9.*-]+(:[0-9]{1,5})?$", origin))])
    error_message = "Each of cors_allow_origins must be an origin such as https://jobs.example.com, without a path, or *."
  }
}

# ---- Queues and jobs --------------------------------------------------------------------------------------------------

variable "queue_names" {
  description = "OJS queues whose SQS queues and alarms are made now; all others the API makes at their first job. A queue that the API has made already must be imported first. A queue that is taken out loses its SQS queues with their messages, unless they are taken out of the state first (README.md)."
  type        = set(string)
  default     = ["default"]
  nullable    = false

  # The template can have no others. The name dlq gets another SQS name (docs/adr/0006), which is not worth a second rule here.
  validation {
    condition     = alltrue([for queue in var.queue_names : can(regex("^[a-z0-9]{1,40}$", queue)) && queue != "dlq"])
    error_message = "Each of queue_names must be 1 to 40 lower-case letters and digits, and not dlq."
  }
}

variable "use_fifo" {
  description = "Whether the SQS queues are FIFO queues. Not to be changed while there are jobs."
  type        = bool
  default     = false
  nullable    = false
}

variable "fetch_wait_seconds" {
  description = "How long a fetch that found nothing asks once more with a long poll, in seconds, 0 to 20. The function is paid for while it waits; with 0, a fetch may miss a job that is there."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.fetch_wait_seconds >= 0 && var.fetch_wait_seconds <= 20 && floor(var.fetch_wait_seconds) == var.fetch_wait_seconds
    error_message = "fetch_wait_seconds must be a whole number of seconds, 0 to 20."
  }
}

variable "visibility_timeout_seconds" {
  description = "How long a worker has a job where neither fetch nor job says, in seconds, 1 to 43200."
  type        = number
  default     = 1800
  nullable    = false

  validation {
    condition     = var.visibility_timeout_seconds >= 1 && var.visibility_timeout_seconds <= 43200 && floor(var.visibility_timeout_seconds) == var.visibility_timeout_seconds
    error_message = "visibility_timeout_seconds must be a whole number of seconds, 1 to 43200."
  }
}

variable "retention_completed_days" {
  description = "How long completed and cancelled jobs are kept, in days, 0 to 36500."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.retention_completed_days >= 0 && var.retention_completed_days <= 36500 && floor(var.retention_completed_days) == var.retention_completed_days
    error_message = "retention_completed_days must be a whole number of days, 0 to 36500."
  }
}

variable "retention_discarded_days" {
  description = "How long discarded jobs and dead letters are kept, in days, 0 to 36500."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.retention_discarded_days >= 0 && var.retention_discarded_days <= 36500 && floor(var.retention_discarded_days) == var.retention_discarded_days
    error_message = "retention_discarded_days must be a whole number of days, 0 to 36500."
  }
}

variable "listing_index" {
  description = "Whether new jobs enter the listing index, which the event feed and exact statistics read. One write unit a job."
  type        = bool
  default     = true
  nullable    = false
}

variable "index_shards" {
  description = "Partitions per index key, 1 to 32. May be raised later, never lowered."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.index_shards >= 1 && var.index_shards <= 32 && floor(var.index_shards) == var.index_shards
    error_message = "index_shards must be a whole number from 1 to 32."
  }
}

# ---- Data protection --------------------------------------------------------------------------------------------------

variable "point_in_time_recovery" {
  description = "Whether the table can be restored to any second of the last 35 days. Paid for by the GB."
  type        = bool
  default     = true
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the table refuses to be deleted until this is switched off."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of a customer managed KMS key for the table and the queues of queue_names. Queues that the API makes hold no job's data and use SQS's own key. Empty: keys that AWS owns."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key (not of an alias), or empty."
  }
}

# ---- Observability ----------------------------------------------------------------------------------------------------

variable "log_level" {
  description = "Log level of the functions - error, warn, info, debug or trace - or a RUST_LOG filter such as info,ojs_core=debug."
  type        = string
  default     = "info"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_:=,]{1,200}$", var.log_level))
    error_message = "log_level must be a level (error, warn, info, debug or trace), or a RUST_LOG filter such as info,ojs_core=debug."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept, in days; one of the periods that CloudWatch Logs has."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "metrics" {
  description = "Whether the functions write metrics of their own (namespace OJS). Without them the dashboard shows no jobs."
  type        = bool
  default     = true
  nullable    = false
}

variable "dashboard" {
  description = "Whether a CloudWatch dashboard is made. Three an account are free."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarm_topic_arn" {
  description = "ARN of an SNS topic in this region that alarms go to. Empty: alarms show in CloudWatch only."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be the ARN of a standard SNS topic, or empty."
  }
}

variable "oldest_message_alarm_seconds" {
  description = "Age of a queue's oldest message from which there is an alarm, in seconds, 60 to 1209600. The messages of running, delayed and paused jobs age too, so it should be longer than the longest job."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    condition     = var.oldest_message_alarm_seconds >= 60 && var.oldest_message_alarm_seconds <= 1209600 && floor(var.oldest_message_alarm_seconds) == var.oldest_message_alarm_seconds
    error_message = "oldest_message_alarm_seconds must be a whole number of seconds, 60 to 1209600."
  }
}

variable "otlp_endpoint" {
  description = "URL of an OpenTelemetry collector (OTLP over gRPC) that gets the functions' traces. Empty: no traces."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^$|^https?://[^\\s]+$", var.otlp_endpoint))
    error_message = "otlp_endpoint must be a URL with http or https, or empty."
  }
}
