# What is seen of the host and its VMs. Each function asks Hyper-V once for all VMs.

$script:V2 = 'root/virtualization/v2'

function Get-HostFacts {
    $hyperv = Hyper-V\Get-VMHost
    $system = CimCmdlets\Get-CimInstance -Namespace 'root/cimv2' -ClassName 'Win32_OperatingSystem'
    $drive = [System.IO.DriveInfo]::new([System.IO.Path]::GetPathRoot($script:Config.Vms))
    @{
        version        = "$($system.Caption) $($system.Version)"
        modern         = $script:Modern
        cpuThreads     = [int]$hyperv.LogicalProcessorCount
        memoryMib      = [int][Math]::Floor($hyperv.MemoryCapacity / 1MB)
        # All of the volume: what is free changes with every VM, and placement counts what it gave away.
        diskGib        = [int][Math]::Floor($drive.TotalSize / 1GB)
        switchPresent  = $null -ne (Hyper-V\Get-VMSwitch | Where-Object { $_.Name -ceq $script:Config.Switch })
    }
}

function Get-Inventory {
    $vms = @(Hyper-V\Get-VM)
    $epochs = Get-BootEpochs
    $guests = Get-GuestNames
    $seen = @{}
    $list = foreach ($vm in $vms) {
        $tag = Get-VmTag $vm
        if ($null -eq $tag) { continue }
        if ($seen.ContainsKey($tag.vmId)) { throw (New-Refusal 'hypervisor_unavailable' "two VMs carry the tag $($tag.vmId)") }
        $seen[$tag.vmId] = $true
        $guid = ([string]$vm.Id).ToUpperInvariant()
        @{
            vmId      = $tag.vmId
            epoch     = $tag.epoch
            state     = [string]$vm.State
            vcpus     = [int]$vm.ProcessorCount
            memoryMib = [int](Get-GivenMemory $vm)
            diskGib   = $tag.diskGib
            complete  = $tag.ready -and (Test-Disk $tag.vmId)
            bootEpoch = $epochs[$guid]
            guest     = if ($guests.ContainsKey($guid)) { $guests[$guid] } elseif (Test-Heartbeat $vm) { '' }
            seeded    = Test-Seed $tag.vmId
        }
    }
    @{ vms = @(@($list) + @(Get-Remnants $seen) | Where-Object { $null -ne $_ }) }
}

# With dynamic memory the most that it may have, which is what was ordered.
function Get-GivenMemory($Vm) {
    [Math]::Floor($(if ($Vm.DynamicMemoryEnabled) { $Vm.MemoryMaximum } else { $Vm.MemoryStartup }) / 1MB)
}

# By its file, which is under every layer that a checkpoint adds. Not by $Vm.HardDrives: that asks WMI for each VM.
function Test-Disk([string]$VmId) { [System.IO.File]::Exists((Get-DiskPath $VmId)) }

function Test-Seed([string]$VmId) { [System.IO.File]::Exists((Get-SeedPath $VmId)) }

# The integration services of the guest answer: it is up, though it may not tell its name.
function Test-Heartbeat($Vm) { ([string]$Vm.State -eq 'Running') -and ([string]$Vm.Heartbeat).StartsWith('Ok', [System.StringComparison]::OrdinalIgnoreCase) }

# Folders with an owner file and no VM: a creation that was cut short before New-VM, or a destruction after Remove-VM.
function Get-Remnants($Seen) {
    foreach ($folder in [System.IO.Directory]::GetDirectories($script:Config.Vms)) {
        $vmId = [System.IO.Path]::GetFileName($folder)
        if ($vmId -cnotmatch $script:Patterns.uuid -or $Seen.ContainsKey($vmId)) { continue }
        $owner = Read-OwnerFile $vmId
        if ($null -eq $owner) { continue }
        # One of everything, as an observation has no way to say that there is none.
        @{
            vmId = $vmId; epoch = $owner.epoch; state = 'Off'; vcpus = 1; memoryMib = 1; diskGib = 1
            complete = $false; bootEpoch = $null; guest = $null; seeded = Test-Seed $vmId
        }
    }
}

# Hyper-V's Id -> the process that runs the VM, told apart from every earlier one by its start. All counters of a VM
# begin at zero with this process; a reset or reboot of the guest keeps it.
function Get-BootEpochs {
    $starts = @{}
    foreach ($process in @(CimCmdlets\Get-CimInstance -Namespace 'root/cimv2' -ClassName 'Win32_Process' -Filter "Name = 'vmwp.exe'")) {
        $starts[[int]$process.ProcessId] = $process.CreationDate.ToUniversalTime().Ticks
    }
    $epochs = @{}
    foreach ($system in @(CimCmdlets\Get-CimInstance -Namespace $script:V2 -ClassName 'Msvm_ComputerSystem')) {
        $id = [int]$system.ProcessID
        if ($id -ne 0 -and $starts.ContainsKey($id)) { $epochs[([string]$system.Name).ToUpperInvariant()] = "$id-$($starts[$id])" }
    }
    $epochs
}

# Hyper-V's Id -> the name that the guest itself tells over key-value exchange. Written by the guest: parsed without
# entities or external parts, and cut to what a DNS name may hold.
function Get-GuestNames {
    $names = @{}
    foreach ($exchange in @(CimCmdlets\Get-CimInstance -Namespace $script:V2 -ClassName 'Msvm_KvpExchangeComponent')) {
        foreach ($item in @($exchange.GuestIntrinsicExchangeItems)) {
            # A guest tells a dozen things, and only one is parsed.
            if (-not ([string]$item).Contains('FullyQualifiedDomainName')) { continue }
            $name = Read-KvpItem $item 'FullyQualifiedDomainName'
            if ($name) { $names[([string]$exchange.SystemName).ToUpperInvariant()] = $name }
        }
    }
    $names
}

function Read-KvpItem([string]$Xml, [string]$Wanted) {
    if ($Xml.Length -gt 65536) { return $null }
    $settings = [System.Xml.XmlReaderSettings]::new()
    $settings.DtdProcessing = [System.Xml.DtdProcessing]::Prohibit
    $settings.XmlResolver = $null
    $document = [System.Xml.XmlDocument]::new()
    try {
        $reader = [System.Xml.XmlReader]::Create([System.IO.StringReader]::new($Xml), $settings)
        $document.Load($reader)
    }
    catch [System.Xml.XmlException] { return $null }
    $name = $document.SelectSingleNode("/INSTANCE/PROPERTY[@NAME='Name']/VALUE")
    $data = $document.SelectSingleNode("/INSTANCE/PROPERTY[@NAME='Data']/VALUE")
    if ($null -eq $name -or $null -eq $data -or $name.InnerText -cne $Wanted) { return $null }
    $text = $data.InnerText.Trim().TrimEnd('.')
    if ($text -cmatch '\A[A-Za-z0-9][A-Za-z0-9.-]{0,252}\z') { $text }
}

# Raw counters of every running VM since its process began. Instances are named after the VM, which is named by our
# id: "<vmId>:Hv VP 0"; "<vmId>_<adapter>_<VM guid>--<adapter guid>"; a disk's path with its separators as dashes.
function Get-Counters {
    $vms = @(Hyper-V\Get-VM | Where-Object { [string]$_.State -eq 'Running' -or [string]$_.State -eq 'Paused' })
    $epochs = Get-BootEpochs
    $cpu = Get-RawCounters 'Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor' {
        param($name) if ($name -match '\A(.{36}):Hv VP [0-9]+\z') { $Matches[1] }
    } { param($row) @{ time = [uint64]$row.PercentTotalRunTime } }
    $nics = Get-RawCounters 'Win32_PerfRawData_NvspNicStats_HyperVVirtualNetworkAdapter' {
        param($name) if ($name -match '([0-9A-Fa-f-]{36})\z') { $Matches[1] }
    } { param($row) @{ rx = [uint64]$row.BytesReceivedPersec; tx = [uint64]$row.BytesSentPersec } }
    $disks = Get-RawCounters 'Win32_PerfRawData_Counters_HyperVVirtualStorageDevice' {
        param($name) if ($name -match '-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-[^-]+\z') { $Matches[1] }
    } { param($row) @{ read = [uint64]$row.ReadBytesPersec; write = [uint64]$row.WriteBytesPersec } }
    $rows = foreach ($vm in $vms) {
        $tag = Get-VmTag $vm
        $epoch = $epochs[([string]$vm.Id).ToUpperInvariant()]
        if ($null -eq $tag -or $null -eq $epoch) { continue }
        $keys = @(foreach ($adapter in Get-OrderedNics $vm) {
                # An adapter's Id ends in its own guid, as the counter's instance does.
                ([string]$adapter.Id).Substring(([string]$adapter.Id).Length - 36).ToUpperInvariant()
            })
        $own = $tag.vmId.ToUpperInvariant()
        @{
            vmId        = $tag.vmId
            bootEpoch   = $epoch
            # In units of 100 ns, over all virtual processors.
            cpuTicks    = [string](Get-CounterSum $cpu $own 'time')
            rxBytes     = @(foreach ($key in $keys) { [string](Get-CounterSum $nics $key 'rx') })
            txBytes     = @(foreach ($key in $keys) { [string](Get-CounterSum $nics $key 'tx') })
            readBytes   = [string](Get-CounterSum $disks $own 'read')
            writeBytes  = [string](Get-CounterSum $disks $own 'write')
            memoryBytes = [string][uint64]$vm.MemoryAssigned
            diskBytes   = [string](Get-DiskBytes $vm)
        }
    }
    @{ vms = @($rows | Where-Object { $null -ne $_ }) }
}

# Key -> the sums of its instances, for one counter class.
function Get-RawCounters([string]$Class, [scriptblock]$KeyOf, [scriptblock]$ValuesOf) {
    $sums = @{}
    foreach ($row in @(CimCmdlets\Get-CimInstance -Namespace 'root/cimv2' -ClassName $Class)) {
        $key = & $KeyOf ([string]$row.Name)
        if (-not $key) { continue }
        $key = $key.ToUpperInvariant()
        $values = & $ValuesOf $row
        if (-not $sums.ContainsKey($key)) { $sums[$key] = $values; continue }
        foreach ($name in @($values.Keys)) { $sums[$key][$name] += $values[$name] }
    }
    $sums
}

function Get-CounterSum($Sums, [string]$Key, [string]$Name) {
    if ($Sums.ContainsKey($Key)) { $Sums[$Key][$Name] } else { [uint64]0 }
}

# In the order of the VM's definition, which is in their names.
function Get-OrderedNics($Vm) {
    foreach ($n in 0..7) { $Vm.NetworkAdapters | Where-Object { $_.Name -ceq "nic$n" } }
}

# The VM's own layers only: its folder has its disk and the layers of its checkpoints, and never the image.
function Get-DiskBytes($Vm) {
    $bytes = [uint64]0
    foreach ($disk in @($Vm.HardDrives)) {
        foreach ($file in [System.IO.FileInfo]::new($disk.Path).Directory.GetFiles()) {
            if ($file.Extension -eq '.vhdx' -or $file.Extension -eq '.avhdx') { $bytes += [uint64]$file.Length }
        }
    }
    $bytes
}
