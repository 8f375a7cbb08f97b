# What is seen of the host and its VMs. Each function asks Hyper-V once for all VMs.

$script:V2 = 'root/virtualization/v2'

function Get-HostFacts {
    $hyperv = Hyper-V\Get-VMHost
    $system = CimCmdlets\Get-CimInstance -Namespace 'root/cimv2' -ClassName 'Win32_OperatingSystem'
    @{
        version        = "$($system.Caption) $($system.Version)"
        modern         = $script:Modern
        cpuThreads     = [int]$hyperv.LogicalProcessorCount
        memoryMib      = [int][Math]::Floor($hyperv.MemoryCapacity / 1MB)
        # All of the volume: what is free changes with every VM, and placement counts what it gave away.
        diskGib        = [int][Math]::Floor((Get-VolumeSize $script:Config.Vms) / 1GB)
        images         = @(Get-HeldImages)
        migrates       = [bool]$hyperv.VirtualMachineMigrationEnabled
        switchPresent  = $null -ne (Hyper-V\Get-VMSwitch | Where-Object { $_.Name -ceq $script:Config.Switch })
    }
}

# Whole disks of their own in the image folder. One that Hyper-V cannot read is none.
function Get-HeldImages {
    foreach ($path in [System.IO.Directory]::GetFiles($script:Config.Images, '*.vhdx')) {
        try { $disk = Hyper-V\Get-VHD -Path $path } catch { continue }
        if ([string]::IsNullOrEmpty([string]$disk.ParentPath)) {
            @{ file = [System.IO.Path]::GetFileNameWithoutExtension($path); virtualBytes = [long]$disk.Size }
        }
    }
}

# Of the volume that holds the path: with mount points and cluster shared volumes it is not that of the drive letter.
function Get-VolumeSize([string]$Path) {
    $longest = ''
    $size = $null
    foreach ($volume in @(CimCmdlets\Get-CimInstance -Namespace 'root/cimv2' -ClassName 'Win32_Volume')) {
        $name = [string]$volume.Name
        # A volume without a letter or a folder is named by its id, and holds no path. One that is locked has no size.
        if ($null -eq $volume.Capacity -or $name.Length -le $longest.Length) { continue }
        if ($Path.StartsWith($name, [System.StringComparison]::OrdinalIgnoreCase)) { $longest = $name; $size = $volume.Capacity }
    }
    if ($null -ne $size) { return $size }
    [System.IO.DriveInfo]::new([System.IO.Path]::GetPathRoot($Path)).TotalSize
}

function Get-Inventory {
    $vms = @(Hyper-V\Get-VM)
    $epochs = Get-BootEpochs
    $guests = Get-GuestNames
    $seen = @{}
    foreach ($vm in $vms) {
        $tag = Get-VmTag $vm
        if ($null -eq $tag) { continue }
        if ($seen.ContainsKey($tag.vmId)) { $seen[$tag.vmId] += $vm }
        else { $seen[$tag.vmId] = @($vm) }
    }
    $list = foreach ($vmId in $seen.Keys) {
        $vm = if ($seen[$vmId].Count -eq 1) { $seen[$vmId][0] } else { Select-TrueVm $seen[$vmId] }
        $tag = Get-VmTag $vm
        $guid = ([string]$vm.Id).ToUpperInvariant()
        $row = @{
            vmId      = $vmId
            epoch     = $tag.epoch
            state     = [string]$vm.State
            vcpus     = [int]$vm.ProcessorCount
            memoryMib = [int](Get-GivenMemory $vm)
            diskGib   = $tag.diskGib
            complete  = $tag.ready -and (Test-Disk $vmId)
            bootEpoch = $epochs[$guid]
            guest     = if ($guests.ContainsKey($guid)) { $guests[$guid] } elseif (Test-Heartbeat $vm) { '' }
            seeded    = Test-Seed $vmId
        }
        if ($seen[$vmId].Count -gt 1) { Add-DoubleTo $row $vm $seen[$vmId] }
        $row
    }
    @{ vms = @(@($list) + @(Get-Remnants $seen) | Where-Object { $null -ne $_ }) }
}

# Two VMs carry one tag. The others on this host are seen as ever; this one is not whole, so that its creation is asked
# for again and removes the shell. Where the other one is no shell, the state says that staff must look.
function Add-DoubleTo($Row, $Kept, $All) {
    $Row.complete = $false
    foreach ($vm in $All) {
        if ($vm.Id -ne $Kept.Id -and [string]$vm.State -ne 'Off') { $Row.state = 'Double' }
    }
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
        if ($null -eq $owner -or (Test-Foreign $owner)) { continue }
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
        # One that ends just now has no start any more, nor has its VM a boot epoch.
        if ($null -ne $process.CreationDate) { $starts[[int]$process.ProcessId] = $process.CreationDate.ToUniversalTime().Ticks }
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
    $own = @{}
    foreach ($vm in $vms) {
        $tag = Get-VmTag $vm
        $epoch = $epochs[([string]$vm.Id).ToUpperInvariant()]
        # Of two VMs with one tag nobody knows which is paid for.
        if ($null -ne $tag -and $null -ne $epoch) { $own[$tag.vmId] = if ($own.ContainsKey($tag.vmId)) { $null } else { @{ vm = $vm; epoch = $epoch } } }
    }
    $cpu = Get-RawCounters 'Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor' {
        param($name) if ($name -match '\A(.{36}):Hv VP [0-9]+\z') { $Matches[1] }
    } { param($row) @{ time = [uint64]$row.PercentTotalRunTime } }
    $nics = Get-RawCounters 'Win32_PerfRawData_NvspNicStats_HyperVVirtualNetworkAdapter' {
        param($name) if ($name -match '([0-9A-Fa-f-]{36})\z') { $Matches[1] }
    } { param($row) @{ rx = [uint64]$row.BytesReceivedPersec; tx = [uint64]$row.BytesSentPersec } }
    $layers = Get-LayerCounters $own
    $adapters = Get-AdapterKeys @(foreach ($one in $own.Values) { if ($null -ne $one) { $one.vm } })
    $rows = foreach ($vmId in $own.Keys) {
        if ($null -eq $own[$vmId]) { continue }
        $vm = $own[$vmId].vm
        $named = $adapters[[string]$vm.Id]
        # It went away between two looks.
        if ($null -eq $named) { continue }
        $keys = @(foreach ($n in 0..7) { if ($named.ContainsKey("nic$n")) { $named["nic$n"] } })
        @{
            vmId        = $vmId
            bootEpoch   = $own[$vmId].epoch
            # In units of 100 ns, over all virtual processors.
            cpuTicks    = [string](Get-CounterSum $cpu $vmId.ToUpperInvariant() 'time')
            rxBytes     = @(foreach ($key in $keys) { [string](Get-CounterSum $nics $key 'rx') })
            txBytes     = @(foreach ($key in $keys) { [string](Get-CounterSum $nics $key 'tx') })
            layers      = @(if ($layers.ContainsKey($vmId)) { $layers[$vmId] })
            memoryBytes = [string][uint64]$vm.MemoryAssigned
            diskBytes   = [string](Get-DiskBytes $vmId)
        }
    }
    @{ vms = @($rows | Where-Object { $null -ne $_ }) }
}

# vmId -> what each layer of its disk has read and written. A checkpoint, and a merge, give a VM's disk another file,
# and so another instance that begins at zero: who adds them up must know them apart. The id of the VM stands somewhere
# in the path, and a layer's own name holds another id; a seed (.iso) is no disk.
function Get-LayerCounters($Own) {
    $layers = @{}
    $uuid = [regex]::new('(?<![0-9A-Fa-f])(?=([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}))')
    foreach ($row in @(CimCmdlets\Get-CimInstance -Namespace 'root/cimv2' -ClassName 'Win32_PerfRawData_Counters_HyperVVirtualStorageDevice')) {
        $name = [string]$row.Name
        if ($name -notmatch '\.a?vhdx\z') { continue }
        foreach ($match in $uuid.Matches($name)) {
            $vmId = $match.Groups[1].Value.ToLowerInvariant()
            if (-not $Own.ContainsKey($vmId)) { continue }
            # What comes after the VM's id: a path says nothing to anybody else, and may be long.
            $layer = $name.Substring($match.Index + 36)
            if (-not $layers.ContainsKey($vmId)) { $layers[$vmId] = [System.Collections.ArrayList]::new() }
            $null = $layers[$vmId].Add(@{ name = Limit-Text $layer 200; read = [string][uint64]$row.ReadBytesPersec; write = [string][uint64]$row.WriteBytesPersec })
            break
        }
    }
    $layers
}

# What keeps the NICs of every VM of Berth's from foreign addresses.
function Get-Guards {
    $own = @{}
    $vms = @(foreach ($vm in @(Hyper-V\Get-VM)) {
            $tag = Get-VmTag $vm
            if ($null -ne $tag) { $own[[string]$vm.Id] = @{ vmId = $tag.vmId; epoch = $tag.epoch; nics = [System.Collections.ArrayList]::new() }; $vm }
        })
    if ($vms.Count -eq 0) { return @{ vms = @() } }
    foreach ($adapter in @(Hyper-V\Get-VMNetworkAdapter -VM $vms -ErrorAction SilentlyContinue)) {
        $vm = $own[[string]$adapter.VMId]
        if ($null -eq $vm) { continue }
        $null = $vm.nics.Add(@{
                name        = Limit-Text $adapter.Name 100
                spoofing    = [string]$adapter.MacAddressSpoofing
                dhcpGuard   = [string]$adapter.DhcpGuard
                routerGuard = [string]$adapter.RouterGuard
                acls        = @(foreach ($acl in @($adapter.AclList)) { @{ action = [string]$acl.Action; direction = [string]$acl.Direction; local = [string]$acl.LocalAddress } })
            })
    }
    @{ vms = @($own.Values) }
}

# What every VM of Berth's is limited to, in two calls for all of them. 0 is no limit, as the cmdlets have it.
function Get-Limits {
    $own = @{}
    $vms = @(foreach ($vm in @(Hyper-V\Get-VM)) {
            $tag = Get-VmTag $vm
            if ($null -ne $tag) { $own[[string]$vm.Id] = @{ vmId = $tag.vmId; epoch = $tag.epoch; bandwidthBits = [System.Collections.ArrayList]::new(); iops = $null }; $vm }
        })
    if ($vms.Count -eq 0) { return @{ vms = @() } }
    foreach ($adapter in @(Hyper-V\Get-VMNetworkAdapter -VM $vms -ErrorAction SilentlyContinue)) {
        $vm = $own[[string]$adapter.VMId]
        if ($null -eq $vm) { continue }
        # An adapter that nobody ever limited has no setting.
        $most = if ($null -eq $adapter.BandwidthSetting) { 0 } else { $adapter.BandwidthSetting.MaximumBandwidth }
        $null = $vm.bandwidthBits.Add([long]$(if ($null -eq $most) { 0 } else { $most }))
    }
    # The first is the system's disk.
    foreach ($drive in @(Hyper-V\Get-VMHardDiskDrive -VM $vms -ErrorAction SilentlyContinue)) {
        $vm = $own[[string]$drive.VMId]
        if ($null -ne $vm -and $null -eq $vm.iops) { $vm.iops = [long]$(if ($null -eq $drive.MaximumIOPS) { 0 } else { $drive.MaximumIOPS }) }
    }
    # One that went away between the calls, or has no disk yet, is left out: what it is limited to is not known.
    @{ vms = @($own.Values | Where-Object { $null -ne $_.iops }) }
}

# Hyper-V's Id -> name -> the guid of the adapter, in which its Id and the instance of its counters end. One call for
# all VMs; one that goes away meanwhile must not keep the rest from being counted.
function Get-AdapterKeys($Vms) {
    $keys = @{}
    if ($Vms.Count -eq 0) { return $keys }
    foreach ($adapter in @(Hyper-V\Get-VMNetworkAdapter -VM $Vms -ErrorAction SilentlyContinue)) {
        $vm = [string]$adapter.VMId
        if (-not $keys.ContainsKey($vm)) { $keys[$vm] = @{} }
        $id = [string]$adapter.Id
        $keys[$vm][[string]$adapter.Name] = $id.Substring($id.Length - 36).ToUpperInvariant()
    }
    $keys
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

# The VM's own layers only: its folder has its disk and the layers of its checkpoints, and never the image.
function Get-DiskBytes([string]$VmId) {
    $bytes = [uint64]0
    foreach ($file in [System.IO.DirectoryInfo]::new((Get-VmFolder $VmId)).GetFiles()) {
        if ($file.Extension -eq '.vhdx' -or $file.Extension -eq '.avhdx') { $bytes += [uint64]$file.Length }
    }
    $bytes
}
