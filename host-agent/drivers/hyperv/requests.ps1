# What agent.ps1 accepts: each operation, its fields, and the rule of each field. Anything else is `bad_request`.
# The agent checks the same before it sends; this is the last gate in front of the cmdlets.

# \A and \z, because $ would let a newline through. Nothing that passes holds a wildcard, a quote or a separator.
$script:Patterns = @{
    uuid     = '\A[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\z'
    image    = '\A[a-z0-9][a-z0-9._-]{0,99}\z'
    mac      = '\A[0-9a-f]{12}\z'
    ipv4     = '\A(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\z'
    os       = '\A(?:linux|freebsd|windows)\z'
    firmware = '\A(?:bios|uefi)\z'
    secureBoot = '\A(?:off|microsoft|uefi-ca)\z'
    stopMode = '\A(?:graceful|firm)\z'
    # A file in the folder of moves: one part of a path, and no device of Windows'.
    moveFile = '\A(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\z))[A-Za-z0-9][A-Za-z0-9._-]{0,199}\z'
    # A name of NetBIOS or DNS, and no device of Windows'.
    computer = '\A(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\z))(?=.{1,253}\z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\z'
    instant  = '\A[0-9]{8}T[0-9]{9}Z\z'
    # A switch is named by staff: letters, digits, blank and a few signs that mean nothing to PowerShell's wildcards.
    label    = '\A[\p{L}\p{N}][\p{L}\p{N} ._()-]{0,99}\z'
}

# Inclusive bounds. Hyper-V's own limits are lower on some versions, and it refuses what is past them.
$script:Bounds = @{
    count     = @(1, 2147483647)
    vcpus     = @(1, 2048)
    memoryMib = @(32, 268435456)
    diskGib   = @(1, 65536)
    vlan      = @(1, 4094)
    bandwidth = @(1, 1000000000000)
    iops      = @(1, 1000000000)
    percent   = @(1, 100)
}

$script:VmFields = @{ vmId = 'uuid'; epoch = 'count' }
$script:SizeFields = @{ vcpus = 'vcpus'; memoryMib = 'memoryMib'; diskGib = 'diskGib'; iops = 'iops?'; nics = 'nics' }
$script:GuestFields = @{ os = 'os'; firmware = 'firmware?'; secureBoot = 'secureBoot?' }
$script:NicFields = @{ mac = 'mac'; address = 'ipv4'; vlan = 'vlan?'; bandwidthBits = 'bandwidth?' }
$script:Operations = @{
    'configure'         = @{ root = 'path'; images = 'path'; switch = 'label'; dynamicMemoryMinimumPercent = 'percent?' }
    'facts'             = @{}
    'list'              = @{}
    'counters'          = @{}
    'guards'            = @{}
    'limits'            = @{}
    'unclaimed'         = @{}
    'claim'             = $script:VmFields
    'guard'             = $script:VmFields + @{ nics = 'nics' }
    'create'            = $script:VmFields + $script:SizeFields + $script:GuestFields + @{ image = 'image'; seeded = 'bool' }
    'start'             = $script:VmFields + @{ dropSavedState = 'bool' }
    'stop'              = $script:VmFields + @{ mode = 'stopMode' }
    'reset'             = $script:VmFields
    'reboot'            = $script:VmFields
    'resize'            = $script:VmFields + $script:SizeFields
    'destroy'           = $script:VmFields + @{ at = 'instant' }
    'erase-seed'        = $script:VmFields
    'checkpoint'        = $script:VmFields + @{ checkpointId = 'uuid'; most = 'count' }
    'revert'            = $script:VmFields + $script:SizeFields + @{ checkpointId = 'uuid' }
    'delete-checkpoint' = $script:VmFields + @{ checkpointId = 'uuid' }
    'checkpoints'       = $script:VmFields
    'describe'          = $script:VmFields
    'export'            = $script:VmFields + @{ file = 'moveFile' }
    'import'            = $script:VmFields + $script:SizeFields + $script:GuestFields + @{ file = 'moveFile' }
    'release'           = $script:VmFields
    'hold'              = $script:VmFields
    'live-end'          = $script:VmFields
    'live-prepare'      = $script:VmFields + $script:GuestFields
    'live-move'         = $script:VmFields + @{ computer = 'computer'; folder = 'path' }
    'live-stop'         = $script:VmFields
    'calls'             = @{}
}

function Assert-Request($Request) {
    if ($Request -isnot [System.Collections.Hashtable]) { throw (New-Refusal 'bad_request' 'not an object') }
    $op = $Request['op']
    if ($op -isnot [string] -or $script:Operations.Keys -cnotcontains $op) {
        throw (New-Refusal 'bad_request' 'no such operation')
    }
    $fields = $script:Operations[$op] + @{ id = 'count'; op = 'op' }
    # The Berth that asks; who does not say it knows none.
    if ($Request.ContainsKey('installation')) { $fields['installation'] = 'uuid?' }
    Assert-Fields $Request $fields
    if ($null -eq $script:Config -and $op -cne 'configure') { throw (New-Refusal 'bad_request' 'not configured') }
}

# Exactly the fields that are named, each as its rule says; a rule that ends in ? admits null.
function Assert-Fields($Map, [System.Collections.Hashtable]$Fields) {
    if ($Map -isnot [System.Collections.Hashtable]) { throw (New-Refusal 'bad_request' 'not an object') }
    foreach ($name in $Fields.Keys) {
        if (-not $Map.ContainsKey($name)) { throw (New-Refusal 'bad_request' "$name is missing") }
        if (-not (Test-Field $Map[$name] $Fields[$name])) { throw (New-Refusal 'bad_request' "$name is not valid") }
        # Whole numbers from here on, so that 1.0 is written as 1.
        if ($Map[$name] -is [decimal]) { $Map[$name] = [long]$Map[$name] }
    }
    foreach ($name in $Map.Keys) {
        if ($Fields.Keys -cnotcontains $name) { throw (New-Refusal 'bad_request' 'a field that is not known') }
    }
}

function Test-Field($Value, [string]$Rule) {
    if ($Rule.EndsWith('?')) {
        if ($null -eq $Value) { return $true }
        $Rule = $Rule.TrimEnd('?')
    }
    if ($script:Patterns.ContainsKey($Rule)) { return ($Value -is [string]) -and ($Value -cmatch $script:Patterns[$Rule]) }
    if ($script:Bounds.ContainsKey($Rule)) {
        $low, $high = $script:Bounds[$Rule]
        if (-not ($Value -is [decimal]) -or $Value -lt $low -or $Value -gt $high -or $Value -ne [decimal]::Truncate($Value)) { return $false }
        # Hyper-V gives memory in steps of 2 MiB.
        return $Rule -cne 'memoryMib' -or $Value % 2 -eq 0
    }
    switch ($Rule) {
        'op' { return $true }
        'bool' { return $Value -is [bool] }
        # From the operator's own configuration, at start; rooted, and nothing that .NET cannot make a path of.
        'path' { return ($Value -is [string]) -and ($Value -cnotmatch '[\x00-\x1F*?\[\]`"<>|]') -and [System.IO.Path]::IsPathRooted($Value) }
        'nics' {
            if ($Value -isnot [array] -or $Value.Count -lt 1 -or $Value.Count -gt 8) { return $false }
            foreach ($nic in $Value) { Assert-Fields $nic $script:NicFields }
            return $true
        }
    }
    $false
}
